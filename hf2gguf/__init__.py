"""The checkpoint: configuration, tensors and tokenizer of a Hugging Face folder become a GGUF model."""
