"""The gallery: records and embeddings in SQLite, searched through FAISS, behind one front."""

from autoreid_deploy.gallery.gallery import Gallery, Hit
from autoreid_deploy.gallery.info import GalleryInfo

__all__ = ["Gallery", "GalleryInfo", "Hit"]
