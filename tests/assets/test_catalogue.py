"""The catalogue: descriptions, columns and lineage of all assets, from the definitions."""

import dagster as dg

from knowdefeat_pipeline.assets.catalogue import CHAIN, MARKET
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.schema import TABLES


def test_the_catalogue_is_filled_from_the_definitions() -> None:
    graph = build_defs().resolve_asset_graph()
    for name in CHAIN:
        node = graph.get(dg.AssetKey(name))
        assert node.description
        assert node.group_name == "ranking"
        assert node.owners == ["team:knowdefeat"]
        assert "postgres" in node.kinds
        columns = node.metadata["dagster/column_schema"].columns
        if name in TABLES:
            assert [column.name for column in columns] == [figure.name for figure in TABLES[name]]
        assert all(column.description for column in columns if column.name != "bot_id")
    parents = {name: {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys} for name in CHAIN}
    assert parents == {
        "trades": set(),
        "bot_metrics": {"trades", "trade_scores"},
        "win_streaks": {"bot_metrics"},
        "bot_rankings": {"bot_metrics", "win_streaks"},
        "bot_skill": {"bot_metrics"},
        "variable_weights": {"bot_rankings"},
    }


def test_the_catalogue_describes_the_market() -> None:
    graph = build_defs().resolve_asset_graph()
    parents = {name: {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys} for name in MARKET}
    assert parents == {"price_bars": set(), "market_regimes": {"price_bars"}, "trade_scores": {"price_bars", "trades"}}
    for name in MARKET:
        node = graph.get(dg.AssetKey(name))
        assert (node.group_name, bool(node.description)) == ("market", True)
        assert all(column.description for column in node.metadata["dagster/column_schema"].columns)


def test_the_catalogue_describes_beliefs() -> None:
    graph = build_defs().resolve_asset_graph()
    parents = {
        "strategy_beliefs": {"trades", "bot_metrics", "market_regimes"},
        "strategy_weights": {"strategy_beliefs"},
    }
    for name, expected in parents.items():
        node = graph.get(dg.AssetKey(name))
        assert {key.to_user_string() for key in node.parent_keys} == expected
        assert node.group_name == "beliefs"
        assert all(column.description for column in node.metadata["dagster/column_schema"].columns)
