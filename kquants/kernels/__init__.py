"""What the codecs' kernels are made of: lanes, number formats, searches, packing, codebooks.

``lanes`` is the vector type they are written with, ``numerics`` rounds and converts to the last bit. ``onepass`` serves
the types that look at a block once; ``search`` and ``superblock`` the K-quants; ``fourbit`` the 4-bit types on a curve;
``codewords``, ``nearest``, ``grids``, ``signs`` and ``ternary`` the codebook types; ``importance`` and ``packing`` all
of them.
"""
