"""Dates become numbers: each part against Python's own calendar, and a model that learns from them."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lamina
from lamina.cli.main import run
from lamina.data.date_parts import DAY, PARTS
from lamina.data.encoder import Encoder
from lamina.data.readers import read_table
from lamina.data.schema import Schema
from lamina.errors import SchemaError

EPOCH = dt.datetime(1970, 1, 1)
HOUR = dt.timedelta(hours=1)


def parts_of(moment: dt.datetime) -> dict[str, float]:
    """What the ``datetime`` module says of a moment."""
    midnight = dt.datetime.combine(moment.date(), dt.time())
    return {
        "elapsed": (moment - EPOCH) / dt.timedelta(days=1),
        "month": moment.month,
        "day": moment.day,
        "weekday": moment.weekday(),
        "day_of_year": moment.timetuple().tm_yday,
        "hour": (moment - midnight) / HOUR,
    }


def assert_parts(moments: list[dt.datetime], hour_tolerance: float) -> None:
    seconds = np.array([(moment - EPOCH).total_seconds() for moment in moments])
    for name, part in PARTS.items():
        values = part(seconds)
        assert (values.shape, values.dtype) == (seconds.shape, np.float64), name
        expected = np.array([parts_of(moment)[name] for moment in moments], dtype=np.float64)
        # The seconds are rounded once, and their quotient a second time.
        rtol, atol = {"elapsed": (5e-16, 0.0), "hour": (0.0, hour_tolerance)}.get(name, (0.0, 0.0))
        np.testing.assert_allclose(values, expected, rtol=rtol, atol=atol, err_msg=name)


# -- the calendar


@given(st.lists(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59)), min_size=1, max_size=20))
@example([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999000)])
@example([dt.datetime(1900, 2, 28, 23, 59, 59), dt.datetime(1900, 3, 1), dt.datetime(2000, 2, 29)])
@example([dt.datetime(1969, 12, 31, 23, 59, 59), dt.datetime(2100, 3, 1), dt.datetime(2024, 12, 31)])
def test_every_part_is_that_of_pythons_calendar_in_all_of_its_years(moments):
    # To the millisecond: float64 seconds have no more digits in the year 9999.
    rounded = [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in moments]
    assert_parts(rounded, hour_tolerance=1e-8)


@given(st.lists(st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2261, 12, 31)), min_size=1, max_size=20))
@example([dt.datetime(year, 12, 31, 23, 59, 59, 999999) for year in (1677, 1969, 1970, 2024, 2106, 2261, 2513)])
@example([dt.datetime(1970, 1, 1, 0, 0, 0, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999999)])
def test_microseconds_count_and_never_reach_the_next_day(moments):
    assert_parts(moments, hour_tolerance=1e-9)


def test_the_last_float_before_midnight_is_still_the_day_before():
    midnights = DAY * np.arange(1.0, 40_000)
    before = np.nextafter(midnights, 0)
    np.testing.assert_array_equal(PARTS["weekday"](before), PARTS["weekday"](midnights - 1))
    np.testing.assert_array_equal(PARTS["day_of_year"](before), PARTS["day_of_year"](midnights - 1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", PARTS)
def test_a_missing_date_has_no_part_and_those_beside_it_keep_theirs(name):
    seconds = np.array([np.nan, 0.0, np.nan, 1.7e9])
    values = PARTS[name](seconds)
    assert np.isnan(values).tolist() == [True, False, True, False]
    np.testing.assert_array_equal(values[[1, 3]], PARTS[name](seconds[[1, 3]]))
    assert PARTS[name](np.empty(0)).shape == (0,)


# -- the same from every source

MOMENTS = [dt.datetime(2024, 2, 28, 6, 30) + i * dt.timedelta(hours=7, seconds=i) for i in range(60)]


def sources(moments: list[dt.datetime | None], tmp_path) -> dict[str, object]:
    """The same column beside a target, as every sort of data that can hold it."""
    y = [i % 2 for i in range(len(moments))]
    texts = [None if moment is None else moment.isoformat() for moment in moments]
    lines = ["when,y", *(f"{text or ''},{code}" for text, code in zip(texts, y, strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    frame = pd.DataFrame({"when": pd.to_datetime(pd.Series(moments)), "y": y})
    utc = frame["when"].dt.tz_localize("UTC")
    polars = pl.DataFrame({"when": moments, "y": y})
    polars.write_parquet(tmp_path / "t.parquet")
    return {
        "CSV": str(tmp_path / "t.csv"),
        "Parquet": str(tmp_path / "t.parquet"),
        "pandas text": frame.assign(when=texts),
        **{f"pandas {unit}": frame.astype({"when": f"datetime64[{unit}]"}) for unit in ("s", "ms", "us", "ns")},
        "pandas UTC": frame.assign(when=utc),
        "pandas Berlin": frame.assign(when=utc.dt.tz_convert("Europe/Berlin")),
        **{f"polars {unit}": polars.cast({"when": pl.Datetime(unit)}) for unit in ("ms", "us", "ns")},
        "pyarrow": polars.to_arrow(),
    }


@pytest.mark.parametrize("missing", [False, True])
def test_every_source_gives_the_same_arrays(tmp_path, missing):
    moments = [None if missing and i % 9 == 4 else moment for i, moment in enumerate(MOMENTS)]
    encoded = {}
    for name, data in sources(moments, tmp_path).items():
        table = read_table(data)
        schema = Schema.infer(table, "y")
        assert [(column.name, column.kind) for column in schema.features] == [("when", "datetime")], name
        features, _ = schema.check(table)
        encoder = Encoder.fit(schema, features)
        encoded[name] = (encoder, encoder.transform(features))
    first, arrays = encoded["CSV"]
    assert [code.part for code in first.numbers] == list(PARTS)
    assert sorted(arrays) == (["flags", "numbers"] if missing else ["numbers"])
    for name, (encoder, others) in encoded.items():
        assert encoder == first, name
        for key, values in arrays.items():
            np.testing.assert_array_equal(others[key], values, err_msg=name)


def test_dates_without_a_time_have_no_hour_in_any_source(tmp_path):
    days = [dt.date(2023, 12, 25) + dt.timedelta(days=3 * i) for i in range(40)]
    y = [i % 2 for i in range(40)]
    (tmp_path / "t.csv").write_text("when,y\n" + "".join(f"{day},{c}\n" for day, c in zip(days, y, strict=True)))
    (tmp_path / "g.csv").write_text("when,y\n" + "".join(f"{d:%d.%m.%Y},{c}\n" for d, c in zip(days, y, strict=True)))
    frames = [pl.DataFrame({"when": days, "y": y}), pd.DataFrame({"when": pd.to_datetime(days), "y": y})]
    arrays = []
    for data in (tmp_path / "t.csv", tmp_path / "g.csv", *frames):
        table = read_table(data)
        schema = Schema.infer(table, "y")
        encoder = Encoder.fit(schema, schema.check(table)[0])
        assert [code.part for code in encoder.numbers] == ["elapsed", "month", "day", "weekday", "day_of_year"]
        arrays.append(encoder.transform(schema.check(table)[0])["numbers"])
    for other in arrays[1:]:
        np.testing.assert_array_equal(other, arrays[0])


# -- models


def demand(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """Hourly rows: high at the weekend, a wave over the day, a little noise, and a column that says nothing."""
    rng = np.random.default_rng(seed)
    when = pd.Series(pd.date_range("2024-03-01", periods=n, freq="h"))
    weekend = (when.dt.day_of_week >= 5).to_numpy()
    wave = np.sin(2 * np.pi * when.dt.hour.to_numpy() / 24)
    return pd.DataFrame(
        {"when": when, "noise": rng.normal(size=n), "y": 10 * weekend + 5 * wave + rng.normal(0, 0.5, n)}
    )


QUICK = {"epochs": 20, "hidden_units": (64,), "seed": 0}


def test_weekdays_and_hours_are_learned():
    frame = demand()
    held = np.random.default_rng(1).random(len(frame)) < 0.25
    with_dates = lamina.fit(frame[~held], "y", baselines=False, **QUICK).evaluate(frame[held])
    without = lamina.fit(frame[~held], "y", baselines=False, drop=("when",), **QUICK).evaluate(frame[held])
    assert with_dates["r2"] > 0.9
    assert without["r2"] < 0.1


def test_weekdays_and_hours_hold_for_days_to_come():
    frame = demand()
    model = lamina.fit(frame[:450], "y", **QUICK)
    assert model.evaluate(frame[450:])["r2"] > 0.7
    assert 0 < model.report.baselines["linear"]["r2"] < model.report.scores["validation"]["r2"]


def test_the_column_that_orders_the_rows_is_no_feature():
    run_ = lamina.prepare(demand(), "y", time="when", validation=0.25, **QUICK)
    assert [column.name for column in run_.schema.features] == ["noise"]
    assert [(column.name, column.kind) for column in run_.schema.columns if column.role == "time"] == [
        ("when", "datetime")
    ]
    held = np.sort(run_.parts["validation"].y.reshape(-1))  # the latest rows, in an order of the program's own
    np.testing.assert_array_equal(held, np.sort(demand()["y"][450:]))


def test_a_saved_model_reads_dates_as_it_did(tmp_path):
    frame = demand(200)
    frame.loc[::7, "when"] = pd.NaT
    model = lamina.fit(frame, "y", baselines=False, **QUICK)
    assert [code.name for code in model.encoder.numbers if code.flag] == ["when"]
    model.save(tmp_path / "m")
    loaded = lamina.load(tmp_path / "m")
    assert (loaded.encoder, loaded.schema) == (model.encoder, model.schema)
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    nothing_known = frame.head(3).assign(when=None)
    assert np.isfinite(loaded.predict(nothing_known)).all()


def test_a_few_rows_are_read_with_day_and_month_in_the_order_of_the_training_rows():
    days = pd.date_range("2024-01-01", periods=150)
    frame = pd.DataFrame({"when": days, "y": 10.0 * days.month + np.arange(150) % 3})
    american = frame.assign(when=days.strftime("%m/%d/%Y"))
    model = lamina.fit(american, "y", baselines=False, **QUICK)
    assert model.schema.features[0].date_format == "%m/%d/%Y"
    # Alone, 03/04/2024 would be taken for the third of April.
    np.testing.assert_array_equal(model.predict(american[63:64]), model.predict(frame[63:64]))
    assert american["when"][63] == "03/04/2024"
    with pytest.raises(SchemaError) as error:
        model.predict(pd.DataFrame({"when": ["03/04/2024", "31/05/2024"]}))
    assert str(error.value) == (
        "the data frame, column 'when', row 2: '31/05/2024' is not a date such as 05/31/2024; "
        "correct it, or leave it empty for a missing value."
    )


# -- the command line


@pytest.fixture
def demand_csv(tmp_path) -> str:
    demand(120).to_csv(tmp_path / "demand.csv", index=False)
    return str(tmp_path / "demand.csv")


def test_inspect_shows_a_date_as_a_feature(demand_csv, capsys):
    assert run(["inspect", demand_csv, "--target", "y", "--json"]) == 0
    when = json.loads(capsys.readouterr().out)["columns"][0]
    assert when == {
        "name": "when", "kind": "datetime", "role": "feature", "reason": "", "n_missing": 0, "n_distinct": 120,
        "values": "2024-03-01T00:00:00 to 2024-03-05T23:00:00",
    }  # fmt: skip
    assert run(["inspect", demand_csv, "--target", "y"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("when"))
    assert line.split()[:5] == ["when", "datetime", "feature", "0", "120"]
    assert line.endswith("2024-03-01T00:00:00 to 2024-03-05T23:00:00")


def test_a_date_may_be_kept_beside_its_prediction(demand_csv, tmp_path, capsys):
    folder = str(tmp_path / "m")
    flags = ["--epochs", "2", "--hidden-units", "8", "--seed", "0", "-q"]
    assert run(["train", demand_csv, "--target", "y", "-o", folder, *flags]) == 0
    capsys.readouterr()
    assert run(["predict", folder, demand_csv]) == 0
    plain = capsys.readouterr().out.splitlines()
    assert run(["predict", folder, demand_csv, "--keep", "when"]) == 0
    kept = capsys.readouterr().out.splitlines()
    assert [line.split(",")[1] for line in kept] == plain
    assert kept[1].startswith("2024-03-01 00:00:00,")
