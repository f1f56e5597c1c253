"""The stages of scripts/gpu_campaign.py."""
