"""Some texts of many kinds, by which it is seen how large a model's numbers become."""

SAMPLE = (
    "How do I reset my password?",
    "cheap flights to Lisbon in May",
    "The committee will meet again on Thursday, 14 March, at half past nine to vote on the revised budget.",
    "She closed the book, looked out of the window and said nothing for a long time.",
    "def mean(values): return sum(values) / len(values)  # raises ZeroDivisionError for an empty list",
    "Patients who were given 20 mg of the drug twice a day had fewer headaches than those given a placebo (p = 0.03).",
    "Der Zug nach Hamburg fährt heute von Gleis 7 ab und hat etwa zehn Minuten Verspätung.",
    "Le marché couvert ouvre à huit heures, sauf le lundi.",
    "今天下午三点开会，请带上你的报告。",
    "Завтра ожидается дождь, местами гроза.",
    "LOL that was sooo good!!! 10/10 would watch again :) #movienight @anna",
    "ERROR 2024-05-01T12:00:03Z worker-17 connection refused: retry 3 of 5 in 8.0 s",
    "The river bank was steep and muddy; the savings bank was shut.",
    "yes",
    "Is a tomato a fruit?",
    "A man is playing a guitar on a stage in front of a small crowd.",
    "Total: EUR 1,249.90 (incl. 19 % VAT), payable within 30 days of receipt of this invoice.",
    "The theorem states that every bounded sequence of real numbers has a convergent subsequence. Its proof divides the "
    "interval again and again and keeps a half that holds infinitely many terms, so that the lengths shrink to nothing.",
    "Shares of the carmaker fell by 4.2 percent on Tuesday after it cut its forecast for the year, citing weak demand in "
    "Europe, higher prices of steel and a strike at one of its suppliers, while analysts had expected a small gain.",
    "¿Dónde está la biblioteca?",
)
