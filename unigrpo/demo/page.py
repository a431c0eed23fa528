"""The page: who is on it, which tabs there are and why others are not, and the server that shows it."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import gradio as gr
from gradio.themes import Base
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unigrpo.config import DemoConfig
from unigrpo.demo.asked import KINDS, Kind
from unigrpo.demo.models import DemoModel
from unigrpo.demo.tabs import Example, Page, add_tab, leaving
from unigrpo.errors import ConfigError

FONTS, LETTERS = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
"""What every browser has: a page that waits for fonts from elsewhere is no page for a cluster."""
THEME = Base(primary_hue="indigo", neutral_hue="slate", font=FONTS, font_mono=LETTERS)
STYLE = Path(__file__).with_name("page.css")
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""Nothing is loaded from elsewhere, whatever the page's framework would like to."""


def kinds_shown(models: Sequence[DemoModel]) -> tuple[list[Kind], str | None]:
    """The tabs that all models can serve, and why there are no others."""
    blind = [model.blind for model in models if model.blind]
    if not blind:
        return list(KINDS), None
    missing = [kind.title for kind in KINDS if kind.task != "text"]
    return [kind for kind in KINDS if kind.task == "text"], f"Not shown: {', '.join(missing)}. {' '.join(blind)}"


def build(models: Sequence[DemoModel], examples: Mapping[str, Sequence[Example]], seed: int) -> gr.Blocks:
    """Makes the page.

    Args:
        examples: by the title of a tab.
    """
    page, (kinds, why) = Page(models, examples, seed), kinds_shown(models)
    with gr.Blocks(title="UniGRPO", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        gr.Markdown(_title(models), elem_id="title")
        if why:
            gr.Markdown(why, elem_id="absent")
        for kind in kinds:
            add_tab(page, kind)
        blocks.unload(leaving(page))
    return blocks


def _title(models: Sequence[DemoModel]) -> str:
    names = " beside ".join(f"**{model.name}**" for model in models)
    how = "They are asked the same, with the same seed." if len(models) > 1 else "Every step is shown as it is made."
    return f"# UniGRPO\n{names}. {how}"


def serve(blocks: gr.Blocks, config: DemoConfig, port: int) -> str:
    """Starts the server, and returns the address of the page.

    Raises:
        ConfigError: there is no public link.
    """
    blocks.queue(max_size=64)
    _, local, public = blocks.launch(
        server_name=config.host,
        server_port=port,
        share=config.share,
        prevent_thread_lock=True,
        quiet=True,
        theme=THEME,
        css_paths=[STYLE],
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size="50mb",
        app_kwargs={"middleware": [Middleware(Guarded)]},
    )
    if config.share and not public:
        blocks.close(verbose=False)
        raise ConfigError("share is true, but gradio's servers gave no public link: drop it, or look at the network.")
    return public or local


def free_port(host: str, port: int) -> int:
    """A port that can be listened on: this one, or any for 0.

    Raises:
        ConfigError: it is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"{host}:{port} cannot be listened on ({error.strerror}): set port=0 for one that is free, or host to "
                "an address of this machine."
            ) from None
        return tried.getsockname()[1]


class Guarded:
    """Sends with each page what its browser may load."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, and adds a header to what comes back."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, answer if scope["type"] == "http" else send)
