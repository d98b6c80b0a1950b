"""What a head took of each text: the same as its parts say by hand, summed up, drawn, and on a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from semvec.finetune.model import FineTuned
from semvec.finetune.report import report, write_report
from semvec.finetune.routings import routings_of
from semvec.finetune.train import finetune
from semvec.finetune.windows import collate
from tests.finetune import small
from tests.finetune.small import quick


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("routed")
    data = small.write("classify", folder)
    for head in ("expert-choice", "router", "linear"):
        finetune("classify", base, data, folder / head, options=quick(head=head, expert_dim=8, keep=0.4), before=False)
    return folder


def test_it_is_what_the_head_says(made: Path) -> None:
    from semvec.finetune.loading import load_model

    model = load_model(made / "expert-choice")
    assert isinstance(model, FineTuned)
    examples = model.task.read(made / "classify.tsv", model.options)
    found = routings_of(model, examples)
    assert found is not None
    assert list(found.owners) == list(range(len(examples)))
    windows = model.windows(examples, labelled=False)
    inner = model.encoder.transformer.tokenizer.inner
    for at in (0, 7):
        batch = collate([windows[at]], model.pad)
        with torch.inference_mode():
            _, weights, routed = model.network.head.weights_of(model.network.features(batch), batch)
        np.testing.assert_array_equal(found.shown["experts"][at].took, routed.taken[:, 0])
        np.testing.assert_allclose(found.shown["experts"][at].gates, routed.gates[0], atol=1e-5)
        np.testing.assert_array_equal(found.shown["router"][at].took[0], weights[0] > 0)
        assert found.shown["router"][at].took.sum() == np.ceil(0.4 * windows[at].length)
        assert list(found.shown["experts"][at].surfaces) == inner.convert_ids_to_tokens(windows[at].inputs["ids"])


def test_the_report_has_it(made: Path, tmp_path: Path) -> None:
    its = report(made / "expert-choice", made / "classify.tsv")
    assert its.routings is not None
    write_report(its, tmp_path)
    numbers = json.loads((tmp_path / "report.json").read_text())["routing"]
    experts = numbers["experts"]
    assert sum(experts["per_expert"]) == sum(int(one.took.sum()) for one in its.routings.shown["experts"])
    nobody = sum(int((~one.took.any(axis=0)).sum()) for one in its.routings.shown["experts"])
    assert experts["left_behind"] == pytest.approx(nobody / experts["tokens"])
    assert (tmp_path / "routing.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "routing.html").read_text()
    assert page.count('class="text"') == 48
    first = its.routings.shown["experts"][0]
    marks = re.findall(r'data-e="([\d ]*)"', page)[: len(first.surfaces)]
    assert marks == [" ".join(map(str, np.flatnonzero(first.took[:, at]))) for at in range(len(first.surfaces))]
    assert any("experts: " in line for line in its.routings.lines())
    assert any("expert 1 takes" in line for line in its.to_markdown().splitlines())


def test_a_router_alone_and_none(made: Path, tmp_path: Path) -> None:
    its = report(made / "router", made / "classify.tsv")
    write_report(its, tmp_path)
    assert list(its.to_json()["routing"]) == ["router"]
    assert "router 1</button>" in (tmp_path / "routing.html").read_text()
    assert report(made / "linear", made / "classify.tsv").routings is None


def test_many_labels_and_long_texts(base: Path, tmp_path: Path) -> None:
    rows = [f"{label},$a_$b\t{text}" for label, text in small.texts(24)]
    (tmp_path / "many.tsv").write_text("\n".join(["labels\ttext", *rows]) + "\n", encoding="utf-8")
    options = quick(head="router", many=True, max_tokens=8)
    finetune("classify", base, tmp_path / "many.tsv", tmp_path / "m", options=options, before=False)
    its = report(tmp_path / "m", tmp_path / "many.tsv")
    write_report(its, tmp_path)
    assert its.routings is not None
    said = re.findall('<span class="said">([^<]*)</span>', (tmp_path / "routing.html").read_text())
    firsts = [its.answers[owner] for at, owner in enumerate(its.routings.owners) if owner not in its.routings.owners[:at]]
    assert len(its.routings.owners) > len(firsts) == 24  # a label stands before the first window of each text
    assert said == [", ".join(answer["labels"]) for answer in firsts if answer["labels"]]


def test_what_is_in_a_text_is_no_markup(tmp_path: Path) -> None:
    from semvec.selection.page import routing_page
    from semvec.selection.report import TextRouting, routing_report

    text = TextRouting(["<b>", "##&", "x"], np.array([[True, True, False]]), np.ones((3, 1), np.float32))
    page = routing_page("<t>", routing_report([text]), [text], said=["<i>"])
    assert "&lt;b&gt;</span><span" in page  # pieces of a word stay together
    assert "<b>" not in page
    assert "<i>" not in page.replace('<i style="', "")


def test_a_page_says_how_many_texts_there_are() -> None:
    from semvec.selection.page import routing_page
    from semvec.selection.report import TextRouting, routing_report

    text = TextRouting(["x"], np.array([[True]]), np.ones((1, 1), np.float32))
    assert "The first 2 of 3 texts." in routing_page("t", routing_report([text] * 3), [text] * 2)
    assert "The first" not in routing_page("t", routing_report([text] * 2), [text] * 2)
