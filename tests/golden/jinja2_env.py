"""Jinja2 set up as the `transformers` library does it for chat templates. Both golden scripts of templates render with it."""
import datetime, json
import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW_US = 1700000000000000


def fail(message):
    raise jinja2.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
now = datetime.datetime.fromtimestamp(NOW_US / 1e6, datetime.timezone.utc)
env.filters["tojson"] = tojson
env.globals.update(raise_exception=fail, strftime_now=now.strftime)


def render(source, **variables):
    """What Jinja2 prints, or None where it refuses."""
    try:
        return env.from_string(source).render(bos_token="<s>", eos_token="</s>", **variables)
    except Exception:
        return None
