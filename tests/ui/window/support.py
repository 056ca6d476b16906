"""What several tests of the window share."""

STEPS = 24


def small(document, epochs=1):
    """The quick-start detector, cut down to seconds."""
    document.set_param(next(n for n in document.data.nodes if n.component == "io.image_input"), "height", 64)
    document.set_param(next(n for n in document.data.nodes if n.component == "io.image_input"), "width", 64)
    document.set_data(train_images=STEPS * 2, val_images=4)
    document.set_training(epochs=epochs, batch=2, workers=0, device="cpu", checkpoint_every=1)
    return document


def steps(dock):
    """How many points the loss curve has; the curves are made shortly after the dock is first seen."""
    series = dock.curves.loss.series.get("loss") if dock.curves is not None else None
    return len(series.x) if series else 0
