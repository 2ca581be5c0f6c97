"""From one representation to another, as pure functions, one way in each file; the contents:

    volume    -> mesh       volume_to_mesh.extract           marching cubes at the level of its
                                                             silhouettes, baked; of a field of
                                                             distances, at their zero level
    Gaussians -> volume     geometry.voxels.voxelise
    Gaussians -> mesh       gaussians_to_mesh.of_gaussians   cut where half of the light no longer
                                                             arrives, baked
    DMTet     -> mesh       tetrahedra_to_mesh.textured
    mesh      -> Gaussians  geometry.surfels.from_mesh
    mesh      -> SDF        mesh_to_sdf.distances            of any points, render/distance.py
    SDF       -> mesh       sdf_to_mesh                      and geometry.tets.marching_tets,
                                                             differentiably
    volume    -> SDF        volume_to_sdf.volume_distances   extract's surface, measured

A field is a volume. SDF: signed distances, negative inside, world units.
"""
