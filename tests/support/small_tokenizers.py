"""Small tokenizers in the forms of the big families, trained on a few sentences."""

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "the capital of France is Paris, and it's the capital's 1st river: 2048 m.",
    "Das Haus steht am Fluß; привет мир, как дела? 日本語のテキスト。 한국어 텍스트",
    "def f(x):\n\treturn x  +  1\n\n\nhéllo wörld 😀 don't stop  now   ...   ok",
] * 20
SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "<s>", "</s>", "<|end|>"]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def wordpiece() -> Tokenizer:
    """BERT's."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=400, show_progress=False, special_tokens=SPECIAL)
    )
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return backend


def byte_level() -> Tokenizer:
    """GPT-2's, in Llama 3's form."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    _train_bpe(backend, pre_tokenizers.ByteLevel.alphabet())
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 3)])
    return backend


def whole_text_bpe() -> Tokenizer:
    """Llama 2's and Gemma's: SentencePiece's BPE without a pre-tokenizer."""
    backend = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words, lines = pre_tokenizers.Split("▁", "merged_with_next"), pre_tokenizers.Split("\n", "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, lines])  # only for the training
    _train_bpe(backend, ["▁"])
    backend.pre_tokenizer = None
    return backend


def unigram() -> Tokenizer:
    """XLM-RoBERTa's."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(
        vocab_size=300, show_progress=False, special_tokens=[*SPECIAL, "▁"], unk_token="[UNK]"
    )
    backend.train_from_iterator(CORPUS, trainer)
    return backend


def _train_bpe(backend: Tokenizer, alphabet: list[str]) -> None:
    trainer = trainers.BpeTrainer(
        vocab_size=500, show_progress=False, initial_alphabet=alphabet, special_tokens=SPECIAL
    )
    backend.train_from_iterator(CORPUS, trainer)


ALL = {"wordpiece": wordpiece, "byte_level": byte_level, "whole_text_bpe": whole_text_bpe, "unigram": unigram}
