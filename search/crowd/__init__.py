"""A crowd of people who do not exist: rendered crops to train on, with labels for free.

    anatomy -> body, pose, shell ------+
    fabric -> garments; props ---------+-> scene (with render) -> sensor -> crop
    camera -> scenery, lighting, boxes +        ^
    looks, outfits, belongings -> wardrobe -----+      generate: a folder of them, in several processes

World coordinates are metres, z up, the ground at z = 0. A person's own coordinates have the feet on z = 0, the face
towards -y and the left hand at +x. Colours are linear (not sRGB) RGB in [0, 1] where they are numbers, and sRGB bytes
in textures.
"""
