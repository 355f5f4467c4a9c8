// A translation unit for libraries that have no code yet.
