"""The control plane: the ivschat API, version 2020-07-14, over HTTP."""
