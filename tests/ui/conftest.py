"""Tests of the window need no display: Qt draws off screen unless the environment says otherwise."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtGui import QCursor, QGuiApplication


@pytest.fixture(autouse=True)
def pointer_aside():
    """The pointer is where no canvas is: what is pasted or added lies under it otherwise, wherever a test left it."""
    if QGuiApplication.instance() is not None:
        QCursor.setPos(QGuiApplication.primaryScreen().geometry().bottomRight())
