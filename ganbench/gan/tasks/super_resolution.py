"""Super-resolution (SRGAN, Ledig et al., 2017): enlarges images by a `factor`.

The small images are means over squares of pixels. The content weight is the inverse of the paper's
1e-3 on the adversarial term. The content term compares pixels; the paper compares features of VGG.
"""

from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganbench.gan.networks.discriminator import Shape

from .restoration import Restoration


class SuperResolution(Restoration):
    works_on_slices = True

    def __init__(self, factor: int = 4, content: float = 1000.0):
        super().__init__(content)
        if factor not in (2, 4, 8):
            raise ValueError(f"the factor must be 2, 4 or 8, not {factor}")
        self.factor = factor

    def shape_incompatibility(self, shape: Shape) -> str | None:
        if min(shape[1:]) >= 2 * self.factor and not any(s % self.factor for s in shape[1:]):
            return None
        return f"images of {shape[1]}x{shape[2]} cannot be downsampled by a factor of {self.factor}"

    def damaged_shape(self, shape: Shape) -> Shape:
        return (shape[0], *(side // self.factor for side in shape[1:]))

    def damage(self, images: Tensor) -> Tensor:
        return avg_pool2d(images, self.factor)
