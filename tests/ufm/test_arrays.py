"""What several modules share: singular values, also where LAPACK's faster routine fails."""

import numpy as np

import ufm
from ufm._arrays import svd


def test_a_decomposition_that_does_not_converge_is_made_by_the_other_routine(monkeypatch):
    matrix = np.random.default_rng(0).standard_normal((5, 7)) * 10.0 ** np.arange(7)
    expected = np.linalg.svd(matrix)

    def fails(matrix):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", fails)
    left, singular, right = svd(matrix)
    assert [part.shape for part in (left, singular, right)] == [part.shape for part in expected]
    np.testing.assert_allclose(singular, expected[1], rtol=1e-10)
    np.testing.assert_allclose((left * singular) @ right[:5], matrix, rtol=0, atol=1e-9)
    np.testing.assert_allclose(right @ right.T, np.eye(7), rtol=0, atol=1e-13)


def test_the_search_that_met_such_a_matrix_ends():
    """With the LAPACK of numpy 2.4 the divide and conquer fails there on a product of two 40 x 40 factors."""
    found = ufm.solve(ufm.Problem("500*20,100*20", regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), head="explicit:2"))
    assert found.status == "best"
    assert found.lower <= found.value <= found.upper
