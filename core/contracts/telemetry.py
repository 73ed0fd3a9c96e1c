"""What people look at: reasons, alerts and how they are routed. Lossy by design, never on the trade path."""

from __future__ import annotations

from enum import StrEnum

from core.contracts.base import Contract

__all__ = ["Alert", "AlertRule", "NoTrade", "NotificationChannel", "Severity"]


class Severity(StrEnum):
    """How urgently a person is needed."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class NoTrade(Contract, frozen=True, tag="NoTrade.1"):
    """Why a strategy did nothing on a datum. Topic telemetry.no_trade · Producer strategy_runner · Consumers observers."""

    strategy_id: str
    symbol: str
    reason: str
    trigger: str
    occurred_ns: int


class Alert(Contract, frozen=True, tag="Alert.1"):
    """Something a person should know. Topic alerts.fired · Producer any daemon · Consumers observers."""

    name: str
    severity: Severity
    text: str
    daemon: str
    occurred_ns: int


class AlertRule(Contract, frozen=True, tag="AlertRule.1"):
    """When a metric is worth an alert: `comparison` holds between metric and `threshold` for `for_s` seconds."""

    name: str
    metric: str
    comparison: str
    threshold: float
    for_s: int
    severity: Severity


class NotificationChannel(Contract, frozen=True, tag="NotificationChannel.1"):
    """Where alerts of at least `severity_min` are sent."""

    name: str
    url_secret: str
    severity_min: Severity
