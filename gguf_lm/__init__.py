"""A GGUF file as a language model: token ids, logits, perplexity.

It is here to say what a quantization cost, on any machine that has NumPy: weights are decoded to float32 a layer at a
time, and every product is a float32 matrix product.
"""

from .model import Model
from .perplexity import Perplexity, perplexity
from .tokenizer import load_tokenizer

__all__ = ["Model", "Perplexity", "load_tokenizer", "perplexity"]
