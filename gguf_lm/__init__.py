"""A GGUF file as a language model: token ids, logits, perplexity, importance of its columns.

It is here to say what a quantization cost, and where one may cost least, on any machine that has NumPy: weights are
decoded to float32 a layer at a time, and every product is a float32 matrix product.
"""

from .importance import Importance, importance
from .model import Model
from .perplexity import Perplexity, perplexity
from .tokenizer import load_tokenizer

__all__ = ["Importance", "Model", "Perplexity", "importance", "load_tokenizer", "perplexity"]
