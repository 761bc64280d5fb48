"""Training runs: determinism, resumption, certificates, causes of failure, files."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import ufm
from ufm.training import SGD, Adam, Dataset, Decay, Equilibrium, Network, Settings, Stack, digits, mixture, run, train
from ufm.training.archive import read_arrays, write_arrays
from ufm.training.checkpoint import CHECKPOINT
from ufm.training.saved_run import RUN, history

SMALL = {"largest": 30, "width": 12, "epochs": 6, "batch": 32}


def command(*arguments):
    return [sys.executable, "-W", "error", "-m", "ufm", *arguments]


@pytest.fixture(params=["deq", "explicit"])
def model(request):
    return request.param


def test_mixture_and_digits_have_the_asked_sizes_and_repeat():
    counts = ufm.step_imbalanced(majority=3, minority=7, n_majority=20, n_minority=4)
    for make in (mixture, digits):
        data, again, other = make(counts, random_state=1), make(counts, random_state=1), make(counts, random_state=2)
        assert np.bincount(data.y).tolist() == list(counts)
        assert len(set(np.bincount(data.y_test))) == 1
        assert (data.x == again.x).all()
        assert not (data.x == other.x).all()
        assert data.x.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
        assert np.mean(data.x**2) == pytest.approx(1.0)
    # Training and test digits are different images.
    data = digits(counts)
    rows = {tuple(row) for row in np.round(data.x, 9)}
    assert not any(tuple(row) in rows for row in np.round(data.x_test, 9))


def test_the_bayes_accuracy_is_not_beaten_by_the_true_means():
    """With one mode per class the Bayes rule is the nearest mean; overlap lowers it, distance raises it to 1."""
    counts = ufm.balanced(4, 5)
    low, high = (mixture(counts, modes=1, separation=s, test=500).ceiling for s in (0.5, 20.0))
    assert low is not None
    assert 0.25 < low < 0.6
    assert high == 1.0


def test_training_is_deterministic_and_resumes_bit_for_bit(model, tmp_path):
    settings = Settings(model=model, data="digits", **SMALL)
    straight = run(settings, tmp_path / "straight")

    class StopError(Exception):
        pass

    for stop in (2, 4):

        def interrupt(row, stop=stop):
            if row["epoch"] == stop:
                raise StopError

        with pytest.raises(StopError):
            run(settings, tmp_path / "interrupted", interrupt)
        assert (tmp_path / "interrupted" / CHECKPOINT).exists()
    run(settings, tmp_path / "interrupted")
    first, second = (read_arrays(tmp_path / name / RUN)[0] for name in ("straight", "interrupted"))
    assert set(first) == set(second)
    for name, array in first.items():
        assert np.array_equal(array, second[name], equal_nan=True), name
    assert not (tmp_path / "interrupted" / CHECKPOINT).exists()
    # A finished run is read, not repeated.
    assert run(settings, tmp_path / "straight", lambda row: pytest.fail("trained again")) == straight


def test_measuring_after_the_last_epoch_alone_changes_nothing_else(model, tmp_path):
    settings = Settings(model=model, data="digits", **SMALL)
    data = settings.dataset()

    def trained(**options):
        network = settings.network(data.x.shape[1])
        return train(data, network, optimizer=settings.make_optimizer(), epochs=settings.epochs, batch=32, **options)

    rows = []
    whole, last = trained(), trained(last_only=True, report=rows.append)
    assert last.history["epoch"].tolist() == [settings.epochs]
    assert rows == [last.last]
    assert whole.last == last.last
    assert all((whole.parameters[name] == last.parameters[name]).all() for name in whole.parameters)
    assert (whole.test_features == last.test_features).all()
    with pytest.raises(ufm.InputError, match="without checkpoints"):
        trained(last_only=True, folder=tmp_path)


def test_another_run_in_the_folder_is_refused(tmp_path):
    settings = Settings(data="digits", **SMALL)
    run(settings, tmp_path / "a")
    before = (tmp_path / "a" / RUN).read_bytes()
    other = Settings(data="digits", **SMALL | {"epochs": 7})
    with pytest.raises(ufm.InputError, match="epochs"):
        run(other, tmp_path / "a")
    assert (tmp_path / "a" / RUN).read_bytes() == before
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "b", lambda row: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(ufm.InputError, match="epochs"):
        run(other, tmp_path / "b")
    (tmp_path / "c").write_text("a file")
    with pytest.raises(ufm.InputError, match="cannot be made"):
        run(settings, tmp_path / "c")


def test_the_certified_bound_holds_in_every_epoch(model, tmp_path):
    for kind in ("tanh", "relu", "linear", "monotone"):
        settings = Settings(model=model, data="digits", ratio=5, map=kind, **SMALL)
        found = run(settings, tmp_path / kind)
        arrays, _ = read_arrays(tmp_path / kind / RUN)
        assert (history(arrays)["gap"] > 0).all()
        assert found["prediction"]["certified"]
        if kind in ("relu", "monotone"):
            assert "relu" in found["prediction"]["problem"]
            assert arrays["features"].min() >= 0
            explicit = ufm.Problem(settings.counts, regularizer=ufm.WeightDecay(*settings.decay))
            assert found["prediction"]["lower"] > ufm.predict(explicit).lower


def test_training_lowers_the_objective_and_learns(model):
    data = digits(ufm.balanced(10, 40))
    network = Network(64, 24, 10, Equilibrium() if model == "deq" else Stack(), Decay(classifier=1e-3, features=1e-4))
    found = train(data, network, epochs=12, batch=64)
    assert found.history["objective"][-1] < 0.6 * found.history["objective"][0]
    assert found.last["accuracy"] > 0.85
    assert found.history["unsolved"].max() == 0
    sgd = train(data, network, epochs=12, batch=64, optimizer=SGD(learning_rate=0.05))
    assert sgd.last["accuracy"] > 0.8


def test_features_are_equilibria_within_the_certified_error(tmp_path):
    found = run(Settings(data="digits", **SMALL), tmp_path)
    assert found["controls"]["error"] < 1e-5
    assert found["controls"]["distinct"] == 1
    assert found["controls"]["moved"] > 0.05
    arrays, _ = read_arrays(tmp_path / RUN)
    layer = Equilibrium().layer({n[16:]: v for n, v in arrays.items() if n.startswith("parameters/body.")})
    assert np.linalg.norm(layer.parameters["weight"], 2) <= 0.9 * (1 + 1e-12)


def test_a_file_can_be_read_without_pickles_and_measured(tmp_path):
    run(Settings(data="digits", **SMALL), tmp_path)
    with np.load(tmp_path / RUN, allow_pickle=False) as archive:
        measured = ufm.measure(archive["features"], archive["labels"], weight=archive["weight"])
        assert measured["nc1"] == archive["history/nc1"][-1]
        assert measured["cos_minority"] == archive["history/cos_minority"][-1]


def test_nan_stops_the_run_with_its_cause():
    data = digits(ufm.balanced(10, 10))
    with pytest.raises(ufm.ConvergenceError, match=r"epoch \d+.*lower the"):
        train(data, Network(64, 8, 10, Stack(map="linear")), optimizer=SGD(learning_rate=1e5, momentum=0.0), epochs=30)
    broken = Dataset("digits", data.counts, data.x * np.nan, data.y, data.x_test, data.y_test)
    with pytest.raises((ufm.ConvergenceError, ufm.InputError)):
        train(broken, Network(64, 8, 10, Equilibrium()), epochs=1)


def test_without_decay_there_is_no_bound():
    data = digits(ufm.balanced(10, 10))
    found = train(data, Network(64, 8, 10, Stack(), Decay(classifier=0.0, features=0.0)), epochs=1)
    assert found.prediction is None
    assert np.isnan(found.last["gap"])


def test_one_sample_per_minority_class_and_two_classes(model, tmp_path):
    found = run(Settings(model=model, data="digits", ratio=30, **SMALL), tmp_path / "one")
    assert found["counts"] == "30*5,1*5"
    found = run(Settings(model=model, classes=(1, 1), ratio=30, **SMALL), tmp_path / "two")
    assert found["counts"] == "30*1,1*1"
    assert found["results"]["cos_minority"] is None


def test_a_killed_run_resumes_without_loss(tmp_path):
    """SIGKILL at some epoch, twice; the finished file is that of an uninterrupted run."""
    arguments = ["train", "--data", "digits", "--largest", "60", "--epochs", "40", "--out"]
    subprocess.run(command(*arguments, str(tmp_path / "straight")), check=True, capture_output=True, timeout=120)
    killed = 0
    for _ in range(2):
        process = subprocess.Popen(
            command(*arguments, str(tmp_path / "killed")), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        before = _epochs(tmp_path / "killed")
        for _ in range(3000):
            if process.poll() is not None or _epochs(tmp_path / "killed") >= before + 5:
                break
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed == 2
    assert not (tmp_path / "killed" / RUN).exists()
    subprocess.run(command(*arguments, str(tmp_path / "killed")), check=True, capture_output=True, timeout=120)
    first, second = (read_arrays(tmp_path / name / RUN)[0] for name in ("straight", "killed"))
    for name, array in first.items():
        assert np.array_equal(array, second[name], equal_nan=True), name


def _epochs(folder):
    """Epochs in the checkpoint, 0 where there is none."""
    if not (folder / CHECKPOINT).exists():
        return 0
    return len(read_arrays(folder / CHECKPOINT)[0]["history"])


@pytest.mark.parametrize(
    "options",
    [
        {"model": "transformer"},
        {"data": "imagenet"},
        {"map": "gru"},
        {"ratio": 0.5},
        {"ratio": 501},
        {"ratio": float("nan")},
        {"classes": (0, 5)},
        {"epochs": 0},
        {"random_state": -1},
        {"width": 0},
        {"contraction": 1.5},
        {"decay": (-1, 1)},
        {"learning_rate": -1},
        {"model": "explicit", "jacobian": 0.1},
        {"optimizer": "lion"},
    ],
)
def test_settings_refuse_bad_input(options):
    with pytest.raises(ufm.InputError):
        Settings(**options)


def test_data_refuses_bad_input():
    for make in (
        lambda: digits(ufm.balanced(9, 10)),
        lambda: digits(ufm.balanced(10, 150)),
        lambda: mixture(ufm.balanced(3, 4), dim=0),
        lambda: mixture(ufm.balanced(3, 4), noise=0.0),
        lambda: mixture(ufm.balanced(3, 4), test=True),
    ):
        with pytest.raises(ufm.InputError):
            make()


def test_archives_refuse_pickles_and_other_files(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "one.npy", np.ones(3))
    for name in ("objects.npz", "text.npz", "empty.npz", "one.npy", "absent.npz"):
        with pytest.raises(ufm.InputError, match="cannot be read"):
            read_arrays(tmp_path / name)
    with pytest.raises(ufm.InputError, match="cannot be written"):
        write_arrays(tmp_path / "nowhere" / "x.npz", {}, {})


def test_train_and_measure_from_the_command_line(tmp_path, model):
    arguments = ["--data", "digits", "--largest", "40", "--width", "12", "--epochs", "6", "--out", str(tmp_path)]
    done = subprocess.run(command("train", "--model", model, *arguments), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "certified lower bound" in done.stdout
    assert done.stderr.count("epoch ") == 6
    assert all(name in done.stderr for name in ("objective", "accuracy", "nc1", "nc2", "nc3", "forward_calls"))
    done = subprocess.run(command("train", "--model", model, *arguments, "--json"), capture_output=True, text=True, timeout=120)
    assert done.stderr == ""  # the finished run is only read
    answer = json.loads(done.stdout)
    assert answer["results"]["gap"] > 0
    measured = [*command("measure", str(tmp_path / RUN)), "--json"]
    done = subprocess.run([*measured, "--predict", "--decay", "2e-2,2.5e-4"], capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)
    for name in ("nc1", "nc3", "cos_minority", "to_theory_weight"):
        assert found[name] == pytest.approx(answer["results"][name], rel=1e-12)
    assert found["theory_lower"] == pytest.approx(answer["prediction"]["lower"], rel=1e-12)
    other = json.loads(subprocess.run([*measured, "--convention", "hong-ling"], capture_output=True, check=True).stdout)
    assert other["nc1"] != pytest.approx(found["nc1"], rel=0.1)


@pytest.mark.parametrize(
    "arguments",
    [
        "train --out {} --model resnet",
        "train --out {} --ratio 0",
        "train --out {} --classes 5",
        "train --out {} --map gru",
        "train --out {} --contraction 2",
        "train --out {} --decay 1",
        "train --out {} --decay -1,1",
        "train --out {} --data digits --largest 150",
        "train --out {} --epochs x",
        "train --out /proc/nowhere --epochs 1",
        "train",
        "compare --out {} --data mnist",
        "compare --out {} --seeds 1",
        "measure {}/absent.npz",
        "measure {}/empty.npz",
        "measure {}/plain.npz",
        "measure {}/plain.npz --predict",
        "measure {}/bare.npz --predict --decay 1e-3,1e-3",
        "measure {}/bare.npz --convention papyan",
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, tmp_path):
    np.savez(tmp_path / "plain.npz", features=np.eye(3))
    np.savez(tmp_path / "bare.npz", features=np.eye(3), labels=np.arange(3))
    (tmp_path / "empty.npz").write_bytes(b"")
    done = subprocess.run(command(*arguments.format(tmp_path).split()), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_diverging_run_is_one_line_and_exit_1(tmp_path):
    arguments = ["--data", "digits", "--model", "explicit", "--map", "linear", "--optimizer", "sgd", "--rate", "1e5"]
    done = subprocess.run(command("train", *arguments, "--out", str(tmp_path)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "training stopped in epoch" in done.stderr.strip().splitlines()[-1]


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    data, other = digits(ufm.balanced(10, 10)), digits(ufm.balanced(10, 10), random_state=1)
    network = Network(64, 8, 10, Stack())
    train(data, network, epochs=2, folder=tmp_path)
    for changed in (
        lambda: train(other, network, epochs=2, folder=tmp_path),
        lambda: train(data, network, epochs=1, folder=tmp_path),
        lambda: train(data, network, epochs=2, random_state=1, folder=tmp_path),
        lambda: train(data, Network(64, 8, 10, Equilibrium()), epochs=2, folder=tmp_path),
        lambda: train(data, network, epochs=2, optimizer=SGD(), folder=tmp_path),
    ):
        with pytest.raises(ufm.InputError, match="another run"):
            changed()
    arrays, description = read_arrays(tmp_path / CHECKPOINT)
    write_arrays(tmp_path / CHECKPOINT, {n: a for n, a in arrays.items() if "classifier" not in n}, description)
    with pytest.raises(ufm.InputError, match="delete it"):
        train(data, network, epochs=2, folder=tmp_path)


def test_damaged_archives_are_one_sentence(tmp_path):
    features, labels = np.arange(3000.0).reshape(1000, 3), np.zeros(1000, dtype=int)
    np.savez_compressed(tmp_path / "good.npz", features=features, labels=labels)
    good = (tmp_path / "good.npz").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(60):
        bad = bytearray(good if number % 2 else good[: int(rng.integers(1, len(good)))])
        for place in rng.integers(0, len(bad), 4):
            bad[place] ^= int(rng.integers(1, 256))
        (tmp_path / f"{number}.npz").write_bytes(bad)
        try:
            read_arrays(tmp_path / f"{number}.npz")
        except ufm.InputError:
            refused += 1
    assert refused > 40
    np.savez(tmp_path / "own.npz", features=np.eye(2), labels=np.arange(2), description=np.array("my network"))
    assert read_arrays(tmp_path / "own.npz")[1] == {}


def test_settings_take_numbers_of_any_kind(tmp_path):
    found = Settings(
        classes=(np.int64(5), 5), largest=np.int64(20), ratio=np.float32(2), body=np.float32(0.5), random_state=np.int64(3)
    )
    assert json.loads(json.dumps(found.describe()))["body"] == 0.5
    for odd in (
        {"classes": 5}, {"classes": (1, 2, 3)}, {"decay": 0.01}, {"ratio": "x"}, {"largest": "9"}, {"contraction": "x"},
        {"tail": "no"}, {"ratio": True}, {"data": "digits", "classes": (3, 3)}, {"data": "digits", "largest": 500},
    ):  # fmt: skip
        with pytest.raises(ufm.InputError):
            Settings(**odd)


def test_a_width_below_the_classes_claims_no_geometry(tmp_path):
    found = run(Settings(map="relu", data="digits", ratio=2, **SMALL | {"width": 6}), tmp_path)
    assert not found["prediction"]["certified"]
    assert found["results"]["to_theory_weight"] is None
    assert found["results"]["gap"] > 0


def test_options_have_their_short_names_in_files_and_on_the_command_line():
    settings = Settings.from_options(seed=3, rate=0.5, epochs=2)
    assert settings == Settings(random_state=3, learning_rate=0.5, epochs=2)
    described = settings.describe()
    assert (described["seed"], described["rate"]) == (3, 0.5)
    assert not {"random_state", "learning_rate"} & set(described)
    assert Settings.from_options(**described) == settings
    assert settings.make_optimizer() == Adam(learning_rate=0.5)
    for option, name in (("seed", "random_state"), ("rate", "learning_rate")):
        with pytest.raises(ufm.InputError, match=f"^{name} is -1"):
            Settings(**{name: -1})
        with pytest.raises(ufm.InputError, match=f"^{option} is -1"):
            Settings.from_options(**{option: -1})
