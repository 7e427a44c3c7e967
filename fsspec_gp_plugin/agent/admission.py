"""Which calls a worker takes: those that it can serve as the client itself would."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import __version__, commands
from .descriptor_budget import Descriptors, most_of_stream
from .environment import differing, place
from .refusals import ARGUMENTS, DESCRIPTORS, ENVIRONMENT, HOOK, OFF, PLACE, UNUSUAL, VERSION, Refusal

if TYPE_CHECKING:
    from ..config.loading import Config
    from .cache import Warm
    from .wire import Request

COMMANDS = {name: command for name, command in commands.COMMANDS.items() if command.is_for_agent}


class Admission:
    """What the process has that a call's client must have, too."""

    def __init__(self, warm: Warm, *, hooks: bool) -> None:
        """`warm` keeps configurations. Without `hooks` these are refused."""
        self._warm = warm
        self._hooks = hooks
        self._environment = dict(os.environ)
        self._place = place()
        self.descriptors = Descriptors()

    def config_of(self, request: Request) -> Config:
        """The configuration of a request that is served, to whose thread descriptors are promised; else Refusal or
        ConfigError.
        """
        if request.version != __version__ or request.arguments[0] not in COMMANDS:
            raise Refusal(VERSION)
        if len(request.arguments) < 3:
            raise Refusal(ARGUMENTS)
        if not self._hooks and COMMANDS[request.arguments[0]].is_hook:
            raise Refusal(HOOK)
        # It would not change what is made with mode 0600 and 0700.
        if request.umask & 0o700 or not request.cwd.startswith("/"):
            raise Refusal(UNUSUAL)
        if request.place != self._place:
            raise Refusal(PLACE)
        config = self._warm.config(os.path.join(request.cwd, request.arguments[1]), request.environment)
        if not config.agent:
            raise Refusal(OFF)
        if names := differing(request.environment, self._environment, config):
            raise Refusal(ENVIRONMENT, ", ".join(names))
        if not self.descriptors.promise(most_of_stream(config)):
            raise Refusal(DESCRIPTORS)
        return config
