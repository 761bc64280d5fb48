"""Sources, once, with machine-readable entries."""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = "locator unknown"
"""Where the place in the paper was not seen."""


class Source(NamedTuple):
    """Where a claim comes from.

    Attributes
    ----------
    short, full : str, names of the paper for tables and for lists
    subject : str, what the claim is about there, or how it was derived
    locator : str, the place in the paper ("Theorem 4.1"), or `UNKNOWN`
    key : str, of the BibTeX entry; "" where there is none
    """

    short: str
    full: str
    subject: str
    locator: str = UNKNOWN
    key: str = ""

    def __str__(self) -> str:
        return f"{self.full}: {self.subject}" + ("" if self.locator in self.subject else f" ({self.locator})")


class Paper(NamedTuple):
    """A paper: its short and full name, and the fields of its BibTeX entry."""

    short: str
    full: str
    entry: str
    fields: dict[str, str]

    def bibtex(self, key: str) -> str:
        """The BibTeX entry under a key."""
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in self.fields.items())
        return f"@{self.entry}{{{key},\n{lines}\n}}"

    @property
    def url(self) -> str:
        """Address of the paper, "" for what is derived here."""
        if "eprint" in self.fields:
            return f"https://arxiv.org/abs/{self.fields['eprint']}"
        return f"https://doi.org/{self.fields['doi']}" if "doi" in self.fields else ""


def _arxiv(short: str, full: str, author: str, title: str, year: int, eprint: str, venue: str = "") -> Paper:
    """An entry with an arXiv number, in a conference's proceedings where a venue is given."""
    fields = {"author": author, "title": title or f"arXiv {eprint}", "year": str(year)}
    fields |= {"eprint": eprint, "archiveprefix": "arXiv"}
    if venue:
        fields["booktitle"] = venue
    return Paper(short, full, "inproceedings" if venue else "misc", fields)


PAPERS = {
    "fang2021": Paper(
        "Fang et al. 2021",
        "Fang, He, Long & Su, PNAS 118(43) e2103091118, 2021",
        "article",
        {
            "author": "Fang, Cong and He, Hangfeng and Long, Qi and Su, Weijie J.",
            "title": "Exploring deep neural networks via layer-peeled model: Minority collapse in imbalanced training",
            "journal": "Proceedings of the National Academy of Sciences",
            "volume": "118",
            "number": "43",
            "pages": "e2103091118",
            "year": "2021",
            "doi": "10.1073/pnas.2103091118",
        },
    ),
    "hongling2023": _arxiv(
        "Hong & Ling 2023",
        "Hong & Ling, arXiv 2309.09725, 2023",
        "Hong, Wanli and Ling, Shuyang",
        "Neural Collapse for Unconstrained Feature Model under Cross-entropy Loss with Imbalanced Data",
        2023,
        "2309.09725",
    ),
    "lu2022": _arxiv(
        "Lu & Steinerberger 2022",
        "Lu & Steinerberger, arXiv 2012.08465, 2020",
        "Lu, Jianfeng and Steinerberger, Stefan",
        "Neural Collapse Under Cross-entropy Loss",
        2020,
        "2012.08465",
    ),
    "zhu2021": _arxiv(
        "Zhu et al. 2021",
        "Zhu, Ding, Zhou, Li, You, Sulam & Qu, arXiv 2105.02375, 2021",
        "Zhu, Zhihui and Ding, Tianyu and Zhou, Jinxin and Li, Xiao and You, Chong and Sulam, Jeremias and Qu, Qing",
        "A Geometric Analysis of Neural Collapse with Unconstrained Features",
        2021,
        "2105.02375",
        "Advances in Neural Information Processing Systems",
    ),
    "zhou2022": _arxiv(
        "Zhou et al. 2022",
        "Zhou, Li, Ding, You, Qu & Zhu, arXiv 2203.01238, 2022",
        "Zhou, Jinxin and Li, Xiao and Ding, Tianyu and You, Chong and Qu, Qing and Zhu, Zhihui",
        "On the Optimization Landscape of Neural Collapse under MSE Loss: Global Optimality with Unconstrained Features",
        2022,
        "2203.01238",
        "International Conference on Machine Learning",
    ),
    "yang2022": _arxiv(
        "Yang et al. 2022",
        "Yang, Chen, Li, Xie, Lin & Tao, arXiv 2203.09081, 2022",
        "Yang, Yibo and Chen, Shixiang and Li, Xiangtai and Xie, Liang and Lin, Zhouchen and Tao, Dacheng",
        "Inducing Neural Collapse in Imbalanced Learning: Do We Really Need a Learnable Classifier at the End of Deep "
        "Neural Network?",
        2022,
        "2203.09081",
        "Advances in Neural Information Processing Systems",
    ),
    "dang2023": _arxiv(
        "Dang et al. 2023",
        "Dang, Tran, Osher, Tran-The, Ho & Nguyen, arXiv 2301.00437, 2023",
        "Dang, Hien and Tran, Tho and Osher, Stanley and Tran-The, Hung and Ho, Nhat and Nguyen, Tan",
        "Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data",
        2023,
        "2301.00437",
        "International Conference on Machine Learning",
    ),
    "sukenik2023": _arxiv(
        "Sukenik et al. 2023",
        "Sukenik, Mondelli & Lampert, NeurIPS 2023, arXiv 2305.13165",
        "S{\\'u}ken{\\'i}k, Peter and Mondelli, Marco and Lampert, Christoph",
        "Deep Neural Collapse Is Provably Optimal for the Deep Unconstrained Features Model",
        2023,
        "2305.13165",
        "Advances in Neural Information Processing Systems",
    ),
    "dang2024": _arxiv(
        "Dang et al. 2024",
        "Dang, Tran, Nguyen & Ho, arXiv 2401.02058, 2024",
        "Dang, Hien and Tran, Tho and Nguyen, Tan and Ho, Nhat",
        "Neural Collapse for Cross-entropy Class-Imbalanced Learning with Unconstrained ReLU Features Model",
        2024,
        "2401.02058",
        "International Conference on Machine Learning",
    ),
    "garrod2025": _arxiv(
        "Garrod & Keating 2025",
        "Garrod & Keating, NeurIPS 2025, arXiv 2410.23169",
        "Garrod, Connall and Keating, Jonathan P.",
        "The Persistence of Neural Collapse Despite Low-Rank Bias",
        2025,
        "2410.23169",
        "Advances in Neural Information Processing Systems",
    ),
    "sunshi2024": _arxiv(
        "Sun & Shi 2024",
        "Sun & Shi, NeurIPS 2024, arXiv 2410.23391",
        "Sun, Haixiang and Shi, Ye",
        "Understanding Representation of Deep Equilibrium Models from Neural Collapse Perspective",
        2024,
        "2410.23391",
        "Advances in Neural Information Processing Systems",
    ),
    "li2023": _arxiv(
        "Li et al. 2023",
        "Li et al., arXiv 2310.15903, 2023",
        "Li, Pengyu and Li, Xiao and Wang, Yutong and Qu, Qing",
        "Neural Collapse in Multi-label Learning with Pick-all-label Loss",
        2023,
        "2310.15903",
    ),
    "zhao2024": _arxiv(
        "Zhao et al. 2024",
        "Zhao et al., arXiv 2408.15417, 2024",
        "Zhao, Yize and Behnia, Tina and Vakilian, Vala and Thrampoulidis, Christos",
        "Implicit Geometry of Next-token Prediction: From Language Sparsity Patterns to Model Representations",
        2024,
        "2408.15417",
    ),
    "andriopoulos2024": _arxiv(
        "Andriopoulos et al. 2024",
        "Andriopoulos et al., arXiv 2409.04180, 2024",
        "Andriopoulos, George and Dong, Zixuan and Guo, Li and Zhao, Zifan and Ross, Keith",
        "The Prevalence of Neural Collapse in Neural Multivariate Regression",
        2024,
        "2409.04180",
        "Advances in Neural Information Processing Systems",
    ),
    "nguyen2026": _arxiv(
        "Nguyen et al. 2026", "Nguyen et al., arXiv 2605.11291, 2026", "Nguyen and others", "", 2026, "2605.11291"
    ),
    "kini2024": _arxiv(
        "Kini et al. 2024",
        "Kini et al., ICLR 2024, arXiv 2306.07960",
        "Kini, Ganesh Ramachandra and Vakilian, Vala and Behnia, Tina and Gill, Jaidev and Thrampoulidis, Christos",
        "Symmetric Neural-Collapse Representations with Supervised Contrastive Loss: The Impact of ReLU and Batching",
        2024,
        "2306.07960",
        "International Conference on Learning Representations",
    ),
    "arxiv2602.16642": _arxiv(
        "Zhao et al. 2026",
        "Zhao, Cheng, Masarczyk & Lucchi, arXiv 2602.16642, 2026",
        "Zhao, Jim and Cheng, Tin Sum and Masarczyk, Wojciech and Lucchi, Aurelien",
        "Optimizer choice matters for the emergence of Neural Collapse",
        2026,
        "2602.16642",
    ),
    "arxiv2512.04006": _arxiv(
        "Garrod et al. 2025",
        "Garrod, Keating & Thrampoulidis, arXiv 2512.04006, 2025",
        "Garrod, Connall and Keating, Jonathan P. and Thrampoulidis, Christos",
        "Diagonalizing the Softmax: Hadamard Initialization for Tractable Cross-Entropy Dynamics",
        2025,
        "2512.04006",
    ),
    "arxiv2506.05801": _arxiv(
        "Ma et al. 2025",
        "Ma, Obuchi & Tanaka, arXiv 2506.05801, 2025",
        "Ma, Chuang and Obuchi, Tomoyuki and Tanaka, Toshiyuki",
        "Neural Collapse in Cumulative Link Models for Ordinal Regression: An Analysis with Unconstrained Feature Model",
        2025,
        "2506.05801",
    ),
    "here": Paper(
        "derived here",
        "derived in this book",
        "misc",
        {"author": "{The ufm developers}", "title": "ufm: a laboratory for neural-collapse theory", "note": "docs/theory"},
    ),
}
"""Papers by key. Titles and numbers are those of arXiv or of the proceedings."""


def cite(key: str, subject: str, locator: str = UNKNOWN) -> Source:
    """A citation: the paper's key, what the claim is about there, and the place where it was seen.

    Parameters
    ----------
    key : str, of `PAPERS`
    subject : str, what the claim is about
    locator : str, the place in the paper

    Returns
    -------
    Source

    Examples
    --------
    >>> str(cite("sunshi2024", "lower loss"))
    'Sun & Shi, NeurIPS 2024, arXiv 2410.23391: lower loss (locator unknown)'
    """
    paper = PAPERS[key]
    return Source(paper.short, paper.full, subject, locator, key)


def bibtex(keys: list[str]) -> str:
    """The BibTeX entries under these keys, each once, in their order."""
    return "\n\n".join(PAPERS[key].bibtex(key) for key in dict.fromkeys(keys) if key in PAPERS) + "\n"
