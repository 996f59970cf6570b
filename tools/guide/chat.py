"""The chat template, as text for the GGUF and as tokens with a weight for each, for training."""
from bpe import IM_END, IM_START

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
QUESTION_WEIGHT = 0.1   # how much guessing the user's own words counts against guessing the answer


def prompt(tokenizer, question):
    """The tokens after which the model answers one question."""
    return tokenizer.encode_template(
        f"{IM_START}user\n{question}{IM_END}\n{IM_START}assistant\n")


def message(tokenizer, role, text):
    """One message: its tokens, and for each how much it counts as a target."""
    head = tokenizer.encode_template(f"{IM_START}{role}\n")
    body = tokenizer.encode(text) + [tokenizer.special[IM_END]]
    weight = {"assistant": 1.0, "user": QUESTION_WEIGHT, "system": 0.0}[role]
    tail = tokenizer.encode("\n")
    return head + body + tail, [0.0] * len(head) + [weight] * len(body) + [0.0] * len(tail)
