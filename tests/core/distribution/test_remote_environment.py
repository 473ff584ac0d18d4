"""What other machines get of this one's environment."""

from t2s_pipeline.core.distribution.remote_environment import passed_on


def test_settings_are_passed_on_and_the_token_is_not(monkeypatch):
    for name in ("T2S_MODELS", "HF_HUB_CACHE", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "value")
    passed = passed_on()
    assert passed["T2S_MODELS"] == passed["HF_HUB_CACHE"] == "value"
    assert not {"HF_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(passed)
