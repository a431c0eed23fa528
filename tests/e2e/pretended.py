"""A pretended accelerator, for machines without one: its tensors are computed on the CPU, and say they are on `cuda`.

As there, they do not mix with tensors of the host, NumPy does not take them, and what the host asks of them is counted.

    python -m tests.e2e.pretended train my.yaml model.device=cuda

runs a verb so. Kernels, sums in another order, and memory are beyond it.
"""

import sys
import traceback
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA = torch.device("cuda", 0)
HOST_IS_FINE = {"copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_"}
"""Operations that take tensors of the host too: copies, and numbers of rows."""
WAITS = ("_local_scalar_dense", "nonzero", "unique_dim", "_unique2", "masked_select")
"""What gives the host a number, or a size that it must know before it goes on; as a mask in place of an index does."""
FACTORIES = (
    *("empty", "zeros", "ones", "full", "arange", "tensor", "as_tensor", "rand", "randn", "randint", "linspace", "eye"),
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
)
OF_TENSORS = ("new_tensor", "new_zeros", "new_ones", "new_full", "new_empty")
looks: Counter[str] = Counter()
"""How often the host has waited for a tensor, by the place in the project that asked."""


class Far(Tensor):
    """A tensor on the pretended accelerator."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Far":
        shape = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        found: Any = Tensor._make_wrapper_subclass(cls, inner.size(), device=inner.device, **shape)  # pyright: ignore
        found.inner = inner.detach()
        return found

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore
    device = property(lambda self: CUDA)  # pyright: ignore
    is_cuda = property(lambda self: True)  # pyright: ignore
    is_cpu = property(lambda self: False)  # pyright: ignore

    def __init__(self, inner: Tensor):
        pass

    # By having these two it is a wrapper for torch, and replaces the weights of a module that is moved.
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, Tensor], *_: Any) -> "Far":
        return Far(parts["inner"])

    def __deepcopy__(self, memo: dict) -> Any:
        copied = Far(self.inner.clone())
        is_weight = isinstance(self, torch.nn.Parameter)
        return torch.nn.Parameter(copied, self.requires_grad) if is_weight else copied

    def numpy(self, **_: Any) -> Any:  # pyright: ignore
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")

    __array__ = __reduce_ex__ = numpy  # pyright: ignore

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.inner.untyped_storage()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        _count()
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:  # pyright: ignore
        name, kwargs = func.overloadpacket.__name__, dict(kwargs or {})
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        if name not in HOST_IS_FINE and any(one.ndim and not isinstance(one, Far) for one in given):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu in {func}.")
        masks = "index" in name and any(one.dtype == torch.bool for one in given[1:])
        if name in WAITS or masks:
            _count()
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        here, settings = tree_map_only(Far, lambda one: one.inner, (args, kwargs))
        found = func(*here, **settings)
        if name == "copy_" and not isinstance(args[0], Far):
            _count()
            return args[0]
        return return_and_correct_aliasing(func, args, kwargs, tree_map_only(Tensor, Far, found))


class _Fetched(torch.autograd.Function):
    """A copy on the host."""

    @staticmethod
    def forward(ctx: Any, far: Far) -> Tensor:  # pyright: ignore
        return far.inner.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore
        return Far(grad)


def _count() -> None:
    ours = [at for at in traceback.extract_stack() if "/tests/" not in at.filename and "-packages/" not in at.filename]
    looks[f"{ours[-1].filename}:{ours[-1].lineno}" if ours else ""] += 1


def _is_far(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _placed(found: Tensor, device: Any) -> Tensor:
    """A tensor that was just made, where it was asked for."""
    far = isinstance(found, Far)
    if _is_far(device):
        return found if far else Far(found)
    return found.inner if far else found


def _making(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(make)
    def made(*args: Any, **kwargs: Any) -> Tensor:
        device = kwargs.get("device")
        if not _is_far(device) and not (device is not None and args and isinstance(args[0], Far)):
            return make(*args, **kwargs)
        return _placed(make(*args, **kwargs | {"device": "cpu"}), device)

    return made


def _moved(to: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(to)
    def moved(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype)
        device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
        for one in args:
            dtype = one if isinstance(one, torch.dtype) else dtype
            device = one if isinstance(one, str | torch.device) else device
        found = self if dtype is None else to(self, dtype, copy=kwargs.get("copy", False))
        far = isinstance(found, Far)
        if device is not None and not far and not _is_far(device):
            return to(found, device, **kwargs)
        if device is None or far == _is_far(device):
            return found.clone() if kwargs.get("copy") else found
        if not far:
            assert not (found.requires_grad and torch.is_grad_enabled()), "no gradient goes back to the host"
            return Far(found.detach().clone())
        _count()
        return _Fetched.apply(found)  # pyright: ignore

    return moved


def install() -> None:
    """Makes the accelerator, for the rest of this process."""
    import transformers.modeling_utils  # before torch is changed below it

    for name in FACTORIES:
        setattr(torch, name, _making(getattr(torch, name)))
    for name in OF_TENSORS:
        setattr(Tensor, name, _making(getattr(Tensor, name)))
    generator, host = torch.Generator, torch.device("cpu")
    replaced = {
        (Tensor, "to"): _moved(Tensor.to),
        (Tensor, "cpu"): lambda self: self.to(host),
        (torch, "Generator"): lambda device=host: generator(host),
        (torch, "inference_mode"): torch.no_grad,  # which wrapped tensors do without
        (transformers.modeling_utils, "caching_allocator_warmup"): lambda *_: None,  # asks the driver for its memory
    }
    for (owner, name), new in replaced.items():
        setattr(owner, name, new)


if __name__ == "__main__":
    install()
    from unigrpo.cli.main import main

    sys.exit(main(sys.argv[1:]))
