"""What the message bar says when the engine stops, fails or is there again."""

from __future__ import annotations

from designer.ui.engine_link import EngineLink
from designer.ui.message_bar import Choice, MessageBar

_KEY = "engine"


def say_engine_state(engine: EngineLink, messages: MessageBar) -> None:
    """Lets the message bar follow the engine."""

    def on_died(_code: str) -> None:
        text = (
            "The engine stopped and is being started again. Your document is safe; shapes come back in a few seconds."
        )
        messages.say(text, "warning", key=_KEY, stays=True)

    def on_state(state: str, detail: str) -> None:
        if state == "failed":
            messages.say(detail, "danger", Choice("Start it again", engine.restart, primary=True), key=_KEY)

    engine.died.connect(on_died)
    engine.state_changed.connect(on_state)
    engine.failed.connect(lambda text: messages.say(text, "danger", key=_KEY))
    engine.ready.connect(lambda _info: messages.withdraw(_KEY))
