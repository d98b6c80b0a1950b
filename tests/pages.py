"""The folder in which the pages' commands and code run: files and models by the names that the pages use, small ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests import tiny
from tests.finetune import small

ROOT = Path(__file__).parent.parent
RIGHTS = [
    line for line in (ROOT / "examples" / "data" / "human_rights.txt").read_text(encoding="utf-8").splitlines() if line.strip()
]
CHINESE = [
    "人人生而自由,在尊严和权利上一律平等。",
    "人人有权享有生命、自由和人身安全。",
    "任何人不得使为奴隶或奴役。",
    "法律之前人人平等。",
]


def table(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def make(world: Path) -> Path:
    """Fill ``world`` with what the pages speak of."""
    (world / "examples").symlink_to(ROOT / "examples")
    labelled(world)
    texts(world)
    text = (ROOT / "docs" / "continual.md").read_text(encoding="utf-8")
    (world / "RUN.toml").write_text(text.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    shutil.copytree(tiny.make_sentence_model(world / "made"), world / "minilm")
    shutil.copytree(world / "minilm", world / "my-model")
    shutil.copytree(world / "minilm", world / "多语言模型的文件夹")
    tiny.make_masked(world / "bert-base-uncased", ("great", "good", "terrible", "bad"))
    shutil.copytree(world / "minilm", world / "e5-small")
    words = sorted({word.strip(".,;:'\"").lower() for text in RIGHTS for word in text.split()} - {""})
    words += [
        "king",
        "queen",
        "man",
        "woman",
        "France",
        "Paris",
        "Italy",
        "Rome",
        "Lisbon",
        "breakfast",
        "cereal",
        "dinner",
        "lunch",
        "dog",
        "cat",
        "barks",
        "meows",
        "Obama",
        "speaks",
    ]
    rows = [
        f"{word} {' '.join(f'{((at * 37 + i * 11) % 17 - 8) / 8:.3f}' for i in range(8))}"
        for at, word in enumerate(dict.fromkeys(words))
    ]
    (world / "glove.6B.300d.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return world


def labelled(world: Path) -> None:
    """Tables of labels and texts, tags, pairs, questions."""
    rows = [f"{label}\t{text}" for label, text in small.texts(60)]
    for name in ("banking77", "reviews", "评论"):
        table(world / name / "train.tsv", "label\ttext", rows[:48])
        table(world / name / "test.tsv", "label\ttext", rows[48:])
    for name in ("few.tsv", "reviews.tsv", "new-examples.tsv", "少量.tsv"):
        table(world / name, "label\ttext", rows[:16])
    table(world / "test.tsv", "label\ttext", [f"{int(row.startswith('pos'))}\t{row.partition(chr(9))[2]}" for row in rows[:20]])
    for name, signs in (("cards", ("card lost", "card late")), ("transfers", ("transfer lost", "transfer late"))):
        for part, seed in (("", 3), ("-test", 4)):
            its = [f"{signs[label == 'pos']}\t{text}" for label, text in small.texts(300 if not part else 16, seed)]
            table(world / f"{name}{part}.tsv", "label\ttext", its)
    (world / "wnut17").mkdir()
    small.write("tag", world / "wnut17").rename(world / "wnut17" / "train.conll")
    (world / "squad").mkdir()
    small.write("qa", world / "squad").rename(world / "squad" / "train.json")
    rows = small.write("seq2seq", world / "wnut17").read_text(encoding="utf-8").splitlines()[1:]
    (world / "wnut17" / "seq2seq.tsv").unlink()
    table(world / "multi30k" / "train.tsv", "en\tde", rows)
    for name in ("stsb", "sick"):
        small.write("similarity", world)
        text = (world / "similarity.tsv").read_text(encoding="utf-8")
        (world / name).mkdir()
        (world / name / "dev.tsv").write_text(text, encoding="utf-8")
    scifact = world / "scifact"
    (scifact / "qrels").mkdir(parents=True)
    (scifact / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "title": "", "text": text}) + "\n" for i, text in enumerate(RIGHTS)), encoding="utf-8"
    )
    (scifact / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{i}", "text": text[:40]}) + "\n" for i, text in enumerate(RIGHTS[:12])), encoding="utf-8"
    )
    table(scifact / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", [f"q{i}\td{i}\t1" for i in range(12)])


def texts(world: Path) -> None:
    """Texts, by line, in tables and in folders."""
    for name in (
        "notes.txt",
        "sentences.txt",
        "others.txt",
        "questions.txt",
        "news.txt",
        "tweets.txt",
        "captions.txt",
        "more.txt",
        "new.txt",
        "reviews.txt",
        "新评论.txt",
        "新闻.txt",
    ):
        (world / name).write_text(
            "\n".join([*RIGHTS[:30], "the bank of the river", "money in the bank", "a bank of clouds"]) + "\n", encoding="utf-8"
        )
    for name in ("笔记.txt", "news_zh.txt"):
        (world / name).write_text("\n".join(f"{text}第{i}条" for i in range(5) for text in CHINESE) + "\n", encoding="utf-8")
    (world / "stop_zh.txt").write_text("的\n和\n", encoding="utf-8")
    rows = [
        {
            "id": f"r{i}",
            "sku": f"s{i}",
            "review": text,
            "text": text,
            "abstract": text,
            "stars": 1 + i % 5,
            "label": "pos" if i % 2 else "neg",
            "year": 2015 + i % 10,
            "lang": "de" if i % 3 else "en",
            "source": "x.pdf",
        }
        for i, text in enumerate(RIGHTS)
    ]
    fields = ["sku", "text", "review", "stars", "label", "year", "lang", "source"]
    for name in ("reviews.csv", "more.csv", "old.csv", "new.csv", "questions.csv"):
        its = [field for field in fields if name == "reviews.csv" or field not in ("review", "sku")]
        lines = [",".join(f'"{str(row[field]).replace(chr(34), "")}"' for field in its) for row in rows]
        table(world / name, ",".join(its), lines)
    for name in ("articles.jsonl", "abstracts.jsonl", "big.jsonl", "news.jsonl", "a.jsonl", "b.jsonl"):
        keep = ("id", "abstract") if name == "abstracts.jsonl" else ("id", "text")
        (world / name).write_text(
            "".join(json.dumps({**{key: row[key] for key in keep}, "id": f"{name[0]}{row['id']}"}) + "\n" for row in rows),
            encoding="utf-8",
        )
    with (world / "news.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(
            "".join(json.dumps({"id": f"bank{i}", "text": f"the bank {text}"}) + "\n" for i, text in enumerate(RIGHTS[:12]))
        )
    (world / "docs").mkdir()
    (world / "docs" / "one.md").write_text("\n".join(RIGHTS), encoding="utf-8")
    (world / "docs" / "two.md").write_text("\n".join(RIGHTS[::-1]), encoding="utf-8")
