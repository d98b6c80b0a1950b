"""Real and awkward texts, small enough to lie in the repository."""

TEXTS = [
    "All human beings are born free and equal in dignity and rights.",
    "Everyone has the right to life, liberty and security of person.",
    "The bank of the river was muddy; the bank in town was closed.",
    "Naïve café owners résumé their façade — “really?” — at 3.14 €.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "The family 👨‍👩‍👧‍👦 waved 👋🏽 at the 🇩🇪🇫🇷 flags ❤️‍🔥!",
    "tabs\tand\tzero\u200bwidth and\u00a0no-break\u2009spaces\u3000here",
    "e\u0301 combining, ﬁ ligature, Ⅷ numeral, ½ half, İstanbul, ẞ",
    "Don't stop: well-known 1,000.5 x-ray's end... ok?",
    "UPPER lower MiXeD snake_case camelCase user@example.org http://a.b/c?d=e",
    "   leading and trailing   ",
    "a",
]

AWKWARD = "aé中😀👨‍👩‍👧ש﷽\t\u200b\u200d\u00a0 \u0301.,-'’ẞİﬁ🇩🇪x1"
"""Characters to make random texts of."""
