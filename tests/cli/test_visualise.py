"""``semvec visualise``, ``cluster`` and ``dedup`` as a shell runs them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import semvec
from semvec.visualise.projection import Projection
from tests.cli.test_encode import refused, run

WORDS = ("the", "bank", "of", "river", "Paris")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv"
    rows = [f"r{at},{' '.join(rng.choice(WORDS, 3))},{'odd' if at % 2 else 'even'},{at}" for at in range(60)]
    path.write_text("id,text,kind,number\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_map_in_every_form(tmp_path: Path, table: Path, glove_file: Path) -> None:
    outs = [tmp_path / f"map{suffix}" for suffix in (".html", ".png", ".svg", ".pdf", ".csv")]
    named = [arg for out in outs for arg in ("-o", out)]
    done = run(
        "visualise", table, "-m", glove_file, *named, "--colour", "kind", "--save", tmp_path / "m.safetensors", "--groups", 3
    )
    assert done.exit_code == 0, done.output
    assert "60 points, UMAP, 15 neighbours, least distance 0.1, seed 0: trustworthiness" in done.stdout
    assert all(out.stat().st_size > 500 for out in outs)
    with outs[4].open() as stream:
        rows = list(csv.DictReader(stream))
    assert (rows[3]["kind"], rows[3]["number"], len(rows[3]["text"].split())) == ("odd", "3", 3)
    kept = Projection.load(tmp_path / "m.safetensors")
    assert [[float(row["x"]), float(row["y"])] for row in rows] == [
        pytest.approx(its, rel=1e-4, abs=1e-4) for its in kept.points.tolist()
    ]
    assert len({row["cluster"] for row in rows}) == 3
    again = run("project", table, "-m", glove_file, "-o", tmp_path / "again.csv", "--groups", 3, "-q")
    assert again.exit_code == 0
    assert (tmp_path / "again.csv").read_bytes() == outs[4].read_bytes()
    refused(run("visualise", table, "-m", glove_file, "-o", outs[0]), "exists already; --overwrite replaces it")


def test_new_texts_on_an_old_map(tmp_path: Path, table: Path, glove_file: Path) -> None:
    base = ("-m", glove_file, "-q", "--groups", 0)
    assert run("visualise", table, "-o", tmp_path / "a.csv", "--save", tmp_path / "m.safetensors", *base).exit_code == 0
    table.write_text(table.read_text() + "new,the river,odd,3\n", encoding="utf-8")
    assert run("visualise", table, "-o", tmp_path / "b.csv", "--onto", tmp_path / "m.safetensors", *base).exit_code == 0
    done = run(
        "visualise", table, "-o", tmp_path / "told.csv", "--onto", tmp_path / "m.safetensors", "-m", glove_file, "--groups", 0
    )
    assert "60 keep their places, 1 is new on the map" in done.stdout
    one = tmp_path / "one.csv"
    one.write_text("id,text,kind,number\nx,the river bank,odd,1\n")
    done = run("visualise", one, "-o", tmp_path / "1.csv", "-o", tmp_path / "1.html", "--onto", tmp_path / "m.safetensors", *base)
    assert "too few points to measure" in done.stdout
    assert len((tmp_path / "1.csv").read_text().splitlines()) == 2
    old, new = ((tmp_path / name).read_text().splitlines() for name in ("a.csv", "b.csv"))
    assert [line.split(",")[:3] for line in new[: len(old)]] == [line.split(",")[:3] for line in old]
    assert new[-1].startswith("new,")
    refused(
        run("visualise", table, "-o", tmp_path / "c.csv", "--onto", tmp_path / "m.safetensors", "--method", "pca", *base),
        "--onto brings its own method",
    )
    refused(run("visualise", table, "-o", tmp_path / "c.csv", "--onto", table, *base), "cannot be read as a map")
    semvec.encode_files([table], tmp_path / "other.npy", semvec.load_encoder("glove-50d"))
    refused(
        run("visualise", tmp_path / "other.npy", "-o", tmp_path / "c.csv", "--onto", tmp_path / "m.safetensors", "-q"),
        "two encoders",
    )
    assert not (tmp_path / "c.csv").exists()


def test_words_occurrences_and_two_views(tmp_path: Path, table: Path, glove_file: Path, sentence_folder: Path) -> None:
    done = run("visualise", glove_file, "--words", 5, "-o", tmp_path / "w.csv", "-q")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "w.csv").read_text().splitlines()[1].startswith("the,")
    done = run("visualise", table, "-m", sentence_folder, "--word", "bank", "-o", tmp_path / "b.html", "-q")
    assert done.exit_code == 0, done.output
    assert "“bank” in t.csv" in (tmp_path / "b.html").read_text()
    done = run("visualise", table, "-m", glove_file, "--beside-model", sentence_folder, "-o", tmp_path / "two.csv", "-q")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "two.csv").read_text().startswith("id,x1,y1,true1,x2,y2,true2,cluster,kind,number,text\n")
    assert len(done.stdout.splitlines()) == 2
    odd = tmp_path / "odd.csv"
    odd.write_text("id,body,text,x,true\n" + "".join(f"r{at},the {word},a,b,c\n" for at, word in enumerate([*WORDS, *WORDS])))
    base = ("visualise", odd, "--text-field", "body", "-m", glove_file, "--groups", 0)
    assert run(*base, "-o", tmp_path / "odd.map.csv").exit_code == 0
    assert (tmp_path / "odd.map.csv").read_text().startswith("id,x,y,true,text_,x_,true_,text\n")
    twin = tmp_path / "twin.csv"
    twin.write_text(odd.read_text().replace("the bank", "a bank").replace("r9,", "z9,"))
    done = run(*base, "--beside", twin, "-o", tmp_path / "twin.html")
    assert "9 of 10 points are in both views, 2 of them with another text" in done.stdout
    (tmp_path / "later.jsonl").write_text(
        "".join(json.dumps({"id": f"r{at}", "text": "the bank"}) + "\n" for at in range(9)) + '{"id": "x", "text": "of"}'
    )
    done = run(
        "visualise", table, "-m", glove_file, "--beside", tmp_path / "later.jsonl", "--colour", "kind", "-o", tmp_path / "3.html"
    )
    refused(done, "all 9 vectors are the same")


def test_tensorboard(tmp_path: Path, table: Path, glove_file: Path) -> None:
    options = (table, "-m", glove_file, "--tensorboard", tmp_path / "tb", "--method", "pca", "-q")
    assert run("visualise", *options).exit_code == 0
    vectors = np.loadtxt(tmp_path / "tb" / "vectors.tsv", delimiter="\t")
    made = semvec.load_encoder(glove_file).encode([row["text"] for row in csv.DictReader(table.open())]).floats()
    assert vectors == pytest.approx(made, rel=1e-5)
    rows = list(csv.DictReader((tmp_path / "tb" / "metadata.tsv").open(), delimiter="\t"))
    assert (len(rows), rows[3]["kind"], rows[3]["id"]) == (60, "odd", "r3")
    refused(run("visualise", *options), "exists already")
    assert run("visualise", *options, "--overwrite").exit_code == 0
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "vectors.tsv").write_text("1\t2\n")
    other = (table, "-m", glove_file, "--tensorboard", tmp_path / "data", "-q", "--overwrite")
    refused(run("visualise", *other), "holds what semvec did not write")
    assert (tmp_path / "data" / "vectors.tsv").read_text() == "1\t2\n"
    (tmp_path / "tb" / "mine.txt").write_text("mine")
    refused(run("visualise", *options, "--overwrite"), "holds what is no projector's (mine.txt)")
    assert (tmp_path / "tb" / "mine.txt").exists()


def test_what_cannot_be_drawn(tmp_path: Path, table: Path, glove_file: Path) -> None:
    base = ("visualise", table, "-m", glove_file)
    refused(run(*base), "where to?")
    refused(run(*base, "-o", tmp_path / "x.gif"), "a map is written as .html")
    refused(run(*base, "-o", tmp_path / "no" / "x.html"), "does not exist")
    refused(run(*base, "-o", tmp_path / "x.html", "--colour", "kindd"), "did you mean 'kind'")
    refused(run(*base, "-o", tmp_path / "x.html", "--min-dist", "nan"), "min_dist")
    refused(run("visualise", "-", "-o", tmp_path / "x.html"), "name a file")
    refused(run(*base, "-o", tmp_path / "x.html", "--perplexity", 5), "--perplexity is for --method tsne")
    refused(run(*base, "-o", tmp_path / "x.html", "--method", "pca", "--min-dist", "0.2"), "--min-dist is for --method umap")
    refused(run(*base, "-o", tmp_path / "x.csv", "--fade"), "--fade is for a page or a picture")
    refused(run(*base, "-o", tmp_path / "x.html", "--grouping", "hdbscan", "--groups", 5), "leave --groups out")
    refused(run(*base, "-o", tmp_path / "x.html", "--save", tmp_path / "x.html"), "one name for two outputs")
    refused(run(*base, "-o", table, "--overwrite"), "is an input")
    refused(run(*base, "-o", tmp_path / "x.html", "--seed", 2**31), "seed must be between")
    refused(run("visualise", "glove-50d", "-o", tmp_path / "x.html"), "--words 5000")
    (tmp_path / "few.txt").write_text("the\nbank\nriver\n")
    refused(run("visualise", tmp_path / "few.txt", "-m", glove_file, "-o", tmp_path / "x.html"), "3 points are too few")
    (tmp_path / "same.txt").write_text("the bank\n" * 9)
    refused(run("visualise", tmp_path / "same.txt", "-m", glove_file, "-o", tmp_path / "x.html"), "all 9 vectors are the same")
    assert not list(tmp_path.glob("x.*"))


def test_cluster(tmp_path: Path, table: Path, glove_file: Path) -> None:
    done = run("cluster", table, "-m", glove_file, "-n", 4, "-o", tmp_path / "g.jsonl", "-k", 1)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "g.jsonl").read_text().splitlines()]
    assert {row["cluster"] for row in rows} == {0, 1, 2, 3}
    sizes = [sum(row["cluster"] == at for row in rows) for at in range(4)]
    assert sizes == sorted(sizes, reverse=True)
    assert f"{sizes[0]:7,}  {rows[[row['cluster'] for row in rows].index(0)]['name']}" in done.stdout
    told = json.loads(run("cluster", table, "-m", glove_file, "-n", 4, "--json", "-q").stdout)
    assert [one["size"] for one in told] == sizes
    refused(run("cluster", table, "-m", glove_file, "--method", "hdbscan", "-n", 4), "--least")
    refused(run("cluster", table, "-m", glove_file, "--least", 4), "-n says how many")
    refused(run("cluster", table, "-m", glove_file, "-n", 61), "between 1 and 60")
    refused(run("cluster", table, "-m", glove_file, "-o", tmp_path / "g.txt"), ".jsonl or .csv")


def test_dedup(tmp_path: Path, glove_file: Path) -> None:
    one, two = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_text('{"id": "1", "text": "the bank of the river", "n": 1}\n{"id": "2", "text": "Paris"}\n')
    two.write_text(
        '{"id": "3", "text": "The  bank of the river!"}\n{"id": "4", "text": "river of the bank the"}\n{"id": "5", "text": "of"}\n'
    )
    done = run("dedup", one, two, "-m", glove_file, "-o", tmp_path / "kept.jsonl", "--dropped", tmp_path / "gone.jsonl", "-q")
    assert done.exit_code == 0, done.output
    assert "2 of 5 are near duplicates of another" in done.stdout
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert [row["text"] for row in kept] == ["the bank of the river", "Paris", "of"]
    assert kept[0]["n"] == 1
    gone = [json.loads(line) for line in (tmp_path / "gone.jsonl").read_text().splitlines()]
    assert [(row["kept_text"], row["reason"]) for row in gone] == [
        ("the bank of the river", "same but for case, spaces or the mark at its end"),
        ("the bank of the river", "similar"),
    ]
    refused(run("dedup", one, "-m", glove_file, "--above", "0"), "more than 0")
    refused(run("dedup", one, "-o", tmp_path / "a.jsonl", "--dropped", tmp_path / "a.jsonl"), "is an input")
    refused(run("dedup", one, "-o", tmp_path / "z.jsonl", "--dropped", tmp_path / "z.jsonl"), "written twice")
    odd = tmp_path / "odd.jsonl"
    odd.write_text(
        '{"key": "k1", "id": 7, "text": "zyxxy"}\n{"key": "k2", "id": 8, "text": "qwzzx"}\n{"key": "k3", "id": 9, "text": "zyxxy"}\n'
    )
    done = run("dedup", odd, "--id-field", "key", "-m", glove_file, "-o", tmp_path / "odd_kept.jsonl")
    assert "1 of 3 are near duplicates" in done.stdout
    assert "3 compared by their texts alone" in done.stderr
    kept = [json.loads(line) for line in (tmp_path / "odd_kept.jsonl").read_text().splitlines()]
    assert kept == [{"key": "k1", "text": "zyxxy", "id": 7}, {"key": "k2", "text": "qwzzx", "id": 8}]
    refused(run("dedup", one, "-m", glove_file, "-o", tmp_path / "kept.jsonl"), "exists already")
