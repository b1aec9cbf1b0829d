"""UniFormer: convolution in the first two stages, attention over space and time in the last two
(Li et al., ICLR 2022, arXiv 2201.04676)."""

from collections import OrderedDict
from collections.abc import Sequence

from timm.layers import Attention, DropPath, Mlp, trunc_normal_
from torch import Tensor, nn

from ffn.layers import ResidualAdapter

MLP_RATIO = 4


class PatchEmbed(nn.Module):
    """Fewer, wider positions; a LayerNorm over the channels of each."""

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        if first:
            self.proj = nn.Conv3d(inputs, outputs, (3, 4, 4), stride=(2, 4, 4), padding=(1, 0, 0))
        else:
            self.proj = nn.Conv3d(inputs, outputs, (1, 2, 2), stride=(1, 2, 2))
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T, H, W)
        return self.norm(self.proj(x).movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    """Position embedding, mixing of positions and mixing of channels, each around a skip (UniFormer, section 3).

    Paper figure 5 alters the input of the whole block, skip included: `altered` are the branches that do.
    """

    attn: nn.Module
    mlp: nn.Module
    norm1: nn.Module
    norm2: nn.Module

    def __init__(self, dim: int, altered: Sequence[int], drop_path: float) -> None:
        super().__init__()
        pos_embed = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)
        self.pos_embed = ResidualAdapter(pos_embed, altered, skip=True) if altered else pos_embed
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T, H, W)
        return self.mix(x + self.pos_embed(x))

    def mix(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class ConvBlock(Block):
    """Mixes the positions of a 5 x 5 x 5 neighbourhood, alike for every input."""

    def __init__(self, dim: int, altered: Sequence[int], drop_path: float) -> None:
        super().__init__(dim, altered, drop_path)
        self.norm1 = nn.BatchNorm3d(dim)
        self.attn = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv3d(dim, dim, 1),
                attn=nn.Conv3d(dim, dim, 5, padding=2, groups=dim),
                conv2=nn.Conv3d(dim, dim, 1),
            )
        )
        self.norm2 = nn.BatchNorm3d(dim)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Conv3d(dim, MLP_RATIO * dim, 1),
                act=nn.GELU(),
                fc2=nn.Conv3d(MLP_RATIO * dim, dim, 1),
            )
        )


class AttentionBlock(Block):
    """Attends to all positions of all frames at once."""

    def __init__(self, dim: int, altered: Sequence[int], drop_path: float, head_dim: int) -> None:
        super().__init__(dim, altered, drop_path)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, dim // head_dim, qkv_bias=True)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, MLP_RATIO * dim)

    def mix(self, x: Tensor) -> Tensor:
        tokens = super().mix(x.flatten(2).transpose(1, 2))  # (B, T * H * W, C)
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class UniFormer(nn.Module):
    """Four stages, each a patch embedding and its blocks (UniFormer, figure 2)."""

    def __init__(
        self,
        altered: Sequence[int],
        num_classes: int,
        depths: Sequence[int],
        dims: Sequence[int],
        head_dim: int,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for i, (inputs, dim, depth) in enumerate(zip((3, *dims), dims, depths, strict=False)):
            before = sum(depths[:i])
            rates = [drop_path_rate * (before + j) / max(1, sum(depths) - 1) for j in range(depth)]
            stage = nn.Sequential(PatchEmbed(inputs, dim, first=i == 0))
            for rate in rates:
                stage.append(ConvBlock(dim, altered, rate) if i < 2 else AttentionBlock(dim, altered, rate, head_dim))
            self.stages.append(stage)
        self.norm = nn.BatchNorm3d(dims[-1])
        self.head = nn.Linear(dims[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, 3, H, W) -> (B, K)
        x = clips.transpose(1, 2)
        for stage in self.stages:
            x = stage(x)
        return self.head(self.norm(x).mean((2, 3, 4)))


def uniformer_small(
    altered: Sequence[int],
    *,
    num_classes: int,
    pretrained: bool = False,
    depths: Sequence[int] = (3, 4, 8, 3),
    dims: Sequence[int] = (64, 128, 320, 512),
    head_dim: int = 64,
    drop_path_rate: float = 0.0,
) -> UniFormer:
    """UniFormer-S for clips of any number of frames whose sides are multiples of 32 pixels.

    Every block sees its input altered per branch of `altered`. The chance of a dropped path rises linearly over the
    blocks to `drop_path_rate`; the authors train with 0.2.
    """
    if pretrained:
        raise ValueError("timm has no weights of uniformer_small; ffn.load_official opens the authors' files")
    return UniFormer(altered, num_classes, depths, dims, head_dim, drop_path_rate)
