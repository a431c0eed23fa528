"""Training an image tokenizer: pictures, loss, measures and the loop."""
