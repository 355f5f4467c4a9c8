"""Writes tests/readers/tokenizers: tokenizer.json files and what Hugging Face's `tokenizers` (0.23.3) makes of texts by them.

usage: make_tokenizers.py FOLDER TINYSHAKESPEARE. Every line of cases.txt is a JSON object: file, text, ids; the last
line is of the whole of tinyshakespeare by words.json: how many tokens, and FNV-1a over their numbers as i32.
"""
import json
import os
import random
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

out, shakespeare = sys.argv[1], open(sys.argv[2], encoding="utf-8").read()
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def save(name, t, change=None):
    j = json.loads(t.to_str())
    if change:
        change(j)
    path = os.path.join(out, name)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(j, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    return Tokenizer.from_file(path)


def trained(pre, size, special):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre, decoders.ByteLevel()
    text = [shakespeare[:200000], "naïve café élève, œuvre; Straße größer", "日本語 日本 " * 3, "١٢٣ 123 2024 " * 3]
    t.train_from_iterator(text, trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special, show_progress=False))
    return t


def as_older_files(j):
    """Merges as texts, and tokens that no merge makes."""
    m = j["model"]
    m["merges"] = [x if isinstance(x, str) else " ".join(x) for x in m["merges"]]
    m["ignore_merges"] = True
    for name in ("Ġwhole", "qzx"):
        m["vocab"][name] = len(m["vocab"])
    for name, normalized in (("<|end|>", False), ("né", True), ("Ġ", False)):
        number = m["vocab"].get(name, len(m["vocab"]) + sum(a["content"] not in m["vocab"] for a in j["added_tokens"]))
        j["added_tokens"].append({"id": number, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized, "special": not normalized})


words = save("words.json", trained(pre_tokenizers.ByteLevel(add_prefix_space=False), 600, ["<|endoftext|>"]))
split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(GPT2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
older = save("older.json", trained(split, 330, ["<|endoftext|>"]), as_older_files)
whole = save("whole.json", trained(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), 300, []))

texts = [
    "", "a", " ", "  ", "   x", "Hello, world!", "First Citizen:\nBefore we proceed", "I'll we're they've it's I'm he'd can't 'S 'LL ''s 're x'sx",
    "tabs\t\tand\r\nlines\n\n\nend  ", "trailing   ", "a\u00a0b \u00a0 c\u3000d\u2028e\u2029f\u0085g\u200bh", "1234 ½ Ⅷ ٣٤ 3rd x2 २", "naïve cafe\u0301 É né nénet", "日本語のテキスト、日本",
    "👩\u200d👩\u200d👧 🇩🇪 😀😀", "\x00\x01\x7f", "\U0010ffff\ufffd\ue000", "whole qzx the whole qzxq", "<|endoftext|>a<|endoftext|> <|end|><|endoftext|x <|end", "Ġ ĠĠ aĠb",
    "\u1c89\ua7cb\U00016d70\U000105c0", "____ -- ... !?'\"'s", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the the the\tthe",
]
draw = random.Random(7)
pool = list("abz'stremvld  \t\n\r.,!1290") + list("éßœ日本٣½\u00a0\u3000\u0301\u200d😀Ġ\x00") + ["<|endoftext|>", "<|end|>", "né", "the ", "'ll", " 's", "qzx", " whole"]
for _ in range(150):
    texts.append("".join(draw.choice(pool) if draw.random() < 0.9 else chr(draw.choice([draw.randrange(0x80, 0xD800), draw.randrange(0xE000, 0x20000)])) for _ in range(draw.randrange(1, 30))))

with open(os.path.join(out, "cases.txt"), "w", encoding="utf-8") as f:
    for name, t in (("words.json", words), ("older.json", older), ("whole.json", whole)):
        for text in texts:
            f.write(json.dumps({"file": name, "text": text, "ids": t.encode(text, add_special_tokens=False).ids}) + "\n")
    ids, h = words.encode(shakespeare, add_special_tokens=False).ids, 0xCBF29CE484222325
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = (h ^ b) * 0x100000001B3 & (1 << 64) - 1
    f.write(json.dumps({"file": "words.json", "count": len(ids), "fnv": "%016x" % h}) + "\n")
