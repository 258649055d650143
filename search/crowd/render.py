"""Triangles to pixels, without a screen: OpenGL through EGL, on a processor or a GPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from search.crowd.mesh import Material, Mesh, Piece, normals

_VERTEX = """
#version 330
uniform mat4 clip;
in vec3 place; in vec3 normal; in vec2 uv;
out vec3 at; out vec3 facing; out vec2 where;
void main() { gl_Position = clip * vec4(place, 1.0); at = place; facing = normal; where = uv; }
"""

_FRAGMENT = """
#version 330
uniform vec3 colour; uniform vec3 sun; uniform vec3 sunlight; uniform vec3 sky; uniform vec3 bounce; uniform vec3 eye;
uniform float gloss; uniform float glow; uniform float label;
#ifdef TEXTURED
uniform sampler2D cover;
#endif
in vec3 at; in vec3 facing; in vec2 where;
out vec4 pixel;
void main() {
  vec3 base = colour;
#ifdef TEXTURED
  vec4 texel = texture(cover, where);
  if (texel.a < 0.5) discard;
  base *= texel.rgb * texel.rgb;  // sRGB, near enough
#endif
  vec3 look = normalize(eye - at);
  vec3 n = normalize(facing);
  if (dot(n, look) < 0.0) n = -n;
  float direct = max(dot(n, sun), 0.0);
  vec3 light = sunlight * direct + mix(bounce, sky, 0.5 + 0.5 * n.z);
  vec3 shine = gloss * (sunlight * pow(max(dot(n, normalize(sun + look)), 0.0), 24.0) + 0.1 * sky);
  pixel = vec4(mix(base * light + shine, base, glow), label);
}
"""

_SHADOW_VERTEX = """
#version 330
uniform mat4 clip; uniform vec3 sun;
in vec3 place;
void main() { gl_Position = clip * vec4(place.xy - sun.xy / sun.z * max(place.z, 0.0), 0.0, 1.0); }
"""

_SHADOW_FRAGMENT = """
#version 330
out float pixel;
void main() { pixel = 1.0; }
"""

Textures = OrderedDict[int, tuple[NDArray[np.uint8], moderngl.Texture]]
_TEXTURES = 1000  # of people, who come and go; those of places stay

TARGET, PEOPLE, GROUND, REST = 1.0, 0.75, 0.5, 0.25  # labels; exact in 16-bit floats


@dataclass(frozen=True, eq=False)
class View:
    """What is seen through one window of an image.

    Attributes:
        clip: (4, 4) from world to OpenGL clip coordinates of the window.
        eye: (3,) where the lens is, metres.
        height: of the window, pixels.
        width: of the window, pixels.
    """

    clip: NDArray[np.float64]
    eye: NDArray[np.float64]
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Light:
    """Sun (or the strongest lamp), sky and what the ground sends back.

    Attributes:
        sun: (3,) unit vector towards it; its z is above 0.
        sunlight: linear RGB at a surface that faces it; zeros for an overcast sky.
        sky: linear RGB on what faces up.
        bounce: linear RGB on what faces down.
        shadow: share of the light on the ground that a person in the way takes, [0, 1].
        softness: blur of shadows, as a share of the window's height.
    """

    sun: tuple[float, float, float]
    sunlight: tuple[float, float, float]
    sky: tuple[float, float, float]
    bounce: tuple[float, float, float]
    shadow: float = 0.5
    softness: float = 0.01


@dataclass(frozen=True, eq=False)
class Picture:
    """What was rendered.

    Attributes:
        pixels: (H, W, 3) float32, linear RGB, 0 or more.
        visible: (H, W) bool, where the target is seen.
        whole: (H, W) bool, where the target would be seen if nothing stood in front of it.
    """

    pixels: NDArray[np.float32]
    visible: NDArray[np.bool_]
    whole: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Uploaded:
    """A piece in the renderer's memory."""

    array: moderngl.VertexArray
    buffers: tuple[moderngl.Buffer, ...]
    material: Material
    texture: moderngl.Texture | None


class Renderer:
    """One OpenGL context and its programs. Use it in the thread that made it; close it when done.

    Raises:
        RuntimeError: there is no EGL here.
    """

    def __init__(self) -> None:
        try:
            how: dict[str, Any] = {"standalone": True, "backend": "egl"}
            self._gl = moderngl.create_context(**how)
        except Exception as error:
            raise RuntimeError(
                "rendering needs OpenGL 3.3 through EGL; on Debian or Ubuntu: "
                "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri"
            ) from error
        self.name = str(self._gl.info["GL_RENDERER"])
        self._plain = self._gl.program(_VERTEX, _FRAGMENT)
        self._textured = self._gl.program(
            _VERTEX, _FRAGMENT.replace("#version 330", "#version 330\n#define TEXTURED")
        )
        self._shadow = self._gl.program(_SHADOW_VERTEX, _SHADOW_FRAGMENT)
        self._frames: dict[tuple[int, int], tuple[moderngl.Framebuffer, moderngl.Framebuffer]] = {}
        # By the id of the image, which is kept beside: its id must not come to mean another.
        self._fixed: Textures = OrderedDict()
        self._passing: Textures = OrderedDict()

    def upload(self, pieces: Sequence[Piece]) -> list[Uploaded]:
        """Keep pieces of a place for all pictures to come."""
        return [self._upload(mesh, material, self._fixed) for mesh, material in pieces]

    def picture(
        self,
        view: View,
        light: Light,
        target: Sequence[Piece],
        people: Sequence[Piece] = (),
        ground: Sequence[Uploaded] = (),
        rest: Sequence[Uploaded] = (),
    ) -> Picture:
        """Draw one window.

        Args:
            view: the window.
            light: what shines.
            target: the person whose crop it is, posed, in world coordinates.
            people: others, and what they carry.
            ground: what takes shadows, near z = 0.
            rest: everything else of the place.
        """
        frame, shade = self._frame(view)
        mine, others = (
            [self._upload(*piece, self._passing) for piece in pieces] for pieces in (target, people)
        )
        self._uniforms(view, light)
        frame.use()
        self._gl.enable(moderngl.DEPTH_TEST)
        frame.clear(*light.sky, REST)
        self._draw(mine, TARGET)
        whole = self._read(frame, view)[..., 3] == TARGET
        self._draw(others, PEOPLE)
        self._draw(ground, GROUND)
        self._draw(rest, REST)
        image = self._read(frame, view)
        label = image[..., 3]
        pixels = np.ascontiguousarray(image[..., :3])
        on_ground = label == GROUND
        if light.shadow > 0 and on_ground.any():
            covered = self._shadows([*mine, *others], view, light, shade)
            pixels *= 1 - light.shadow * (covered * on_ground)[..., None]
        for item in (*mine, *others):
            item.array.release()
            for buffer in item.buffers:
                buffer.release()
        while len(self._passing) > _TEXTURES:
            self._passing.popitem(last=False)[1][1].release()
        return Picture(pixels, label == TARGET, whole)

    def close(self) -> None:
        """Free the context."""
        self._gl.release()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _frame(self, view: View) -> tuple[moderngl.Framebuffer, moderngl.Framebuffer]:
        size = (view.width, view.height)
        if size not in self._frames:
            small = (max(view.width // 2, 1), max(view.height // 2, 1))
            self._frames[size] = (
                self._gl.framebuffer(
                    [self._gl.texture(size, 4, dtype="f2")], self._gl.depth_renderbuffer(size)
                ),
                self._gl.framebuffer([self._gl.texture(small, 1, dtype="f1")]),
            )
        return self._frames[size]

    def _upload(self, mesh: Mesh, material: Material, textures: Textures) -> Uploaded:
        facing = normals(mesh.vertices, mesh.faces) if mesh.normals is None else mesh.normals
        table = np.concatenate([mesh.vertices, facing, mesh.uv], axis=1)
        points, corners = self._gl.buffer(table.astype("f4").tobytes()), self._gl.buffer(mesh.faces.tobytes())
        program = self._plain if material.texture is None else self._textured
        layout = "3f 3f 2f" if material.texture is not None else "3f 3f 8x"
        names = ["place", "normal", "uv"] if material.texture is not None else ["place", "normal"]
        array = self._gl.vertex_array(program, [(points, layout, *names)], corners)
        return Uploaded(array, (points, corners), material, self._texture(material, textures))

    def _texture(self, material: Material, textures: Textures) -> moderngl.Texture | None:
        image = material.texture
        if image is None:
            return None
        if id(image) not in textures:
            height, width, channels = image.shape
            texture = self._gl.texture(
                (width, height), channels, np.ascontiguousarray(image).tobytes(), alignment=1
            )
            texture.build_mipmaps()
            texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
            textures[id(image)] = (image, texture)
        textures.move_to_end(id(image))
        return textures[id(image)][1]

    def _uniforms(self, view: View, light: Light) -> None:
        clip = view.clip.T.astype("f4").tobytes()
        for program in (self._plain, self._textured):
            _uniform(program, "clip").write(clip)
            _uniform(program, "eye").value = tuple(map(float, view.eye))
            for name in ("sun", "sunlight", "sky", "bounce"):
                _uniform(program, name).value = getattr(light, name)

    def _draw(self, items: Sequence[Uploaded], label: float) -> None:
        for item in items:
            program = item.array.program
            _uniform(program, "colour").value = item.material.colour
            _uniform(program, "gloss").value = item.material.gloss
            _uniform(program, "glow").value = item.material.glow
            _uniform(program, "label").value = label
            if item.texture is not None:
                item.texture.use(0)
            item.array.render()

    def _read(self, frame: moderngl.Framebuffer, view: View) -> NDArray[np.float32]:
        rows = np.frombuffer(frame.read(components=4, dtype="f2"), np.float16)
        return rows.reshape(view.height, view.width, 4)[::-1].astype(np.float32)

    def _shadows(
        self, casters: Sequence[Uploaded], view: View, light: Light, frame: moderngl.Framebuffer
    ) -> NDArray[np.float32]:
        frame.use()
        self._gl.disable(moderngl.DEPTH_TEST)
        frame.clear()
        _uniform(self._shadow, "clip").write(view.clip.T.astype("f4").tobytes())
        _uniform(self._shadow, "sun").value = light.sun
        for item in casters:
            array = self._gl.vertex_array(
                self._shadow, [(item.buffers[0], "3f 20x", "place")], item.buffers[1]
            )
            array.render()
            array.release()
        width, height = frame.size
        mask = np.frombuffer(frame.read(components=1), np.uint8).reshape(height, width)[::-1]
        blurred = cv2.GaussianBlur(mask, (0, 0), max(light.softness * height, 0.3))
        return cv2.resize(blurred, (view.width, view.height)).astype(np.float32) / np.float32(255)


def _uniform(program: moderngl.Program, name: str) -> moderngl.Uniform:
    """A value that a program is told, which moderngl types as any of its members."""
    uniform = program[name]
    assert isinstance(uniform, moderngl.Uniform)
    return uniform
