"""The tab that shows a model file: its graph, its tensors, their figures. The engine reads the file."""
