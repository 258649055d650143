"""The gallery: records and embeddings in SQLite, searched through FAISS, behind one front."""

from autoreid_deploy.gallery.answers import Hit
from autoreid_deploy.gallery.gallery import Gallery
from autoreid_deploy.gallery.info import GalleryInfo

__all__ = ["Gallery", "GalleryInfo", "Hit"]
