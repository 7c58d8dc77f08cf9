"""Segmenters of every kind, tiny and with random weights, saved as their makers save them."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from monai.networks import nets
from torch import nn
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoMaskDecoderConfig

SIDE = 64


def _loud(model: nn.Module) -> nn.Module:
    """Give weights of a size at which prompts make a difference; the usual start is near zero."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1.2 / max(parameter[0].numel(), 1) ** 0.5)
    return model


def save_sam(folder: Path, *, processor: bool = True) -> Path:
    vision = {
        "hidden_size": 32,
        "output_channels": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 8,
        "mlp_dim": 32,
    }
    config = transformers.SamConfig(
        vision_config=vision,
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": SIDE,
            "patch_size": 8,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )
    _loud(transformers.SamModel(config)).save_pretrained(folder)
    if processor:
        images = transformers.SamImageProcessor(
            size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
        )
        transformers.SamProcessor(images).save_pretrained(folder)
    return folder


def _decoder(width: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }


def save_sam2(folder: Path, *, video: bool = True) -> Path:
    width = 128
    vision = {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "image_size": [SIDE, SIDE],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [8, 4, 4, 2],
            "global_attention_blocks": [3],
            "window_positional_embedding_background_size": [4, 4],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": width,
    }
    prompts = {
        "hidden_size": width,
        "image_size": SIDE,
        "patch_size": 16,
        "mask_input_channels": 8,
    }
    if video:
        model: Any = transformers.Sam2VideoModel(
            transformers.Sam2VideoConfig(
                vision_config=vision,
                prompt_encoder_config=prompts,
                mask_decoder_config=Sam2VideoMaskDecoderConfig(**_decoder(width)),
                image_size=SIDE,
                memory_attention_hidden_size=width,
                memory_attention_num_layers=1,
                memory_attention_feed_forward_hidden_size=32,
                memory_attention_rope_feat_sizes=[4, 4],
                memory_encoder_hidden_size=width,
                mask_downsampler_embed_dim=width,
                memory_fuser_num_layers=1,
                memory_fuser_embed_dim=width,
                memory_fuser_intermediate_dim=32,
            )
        )
    else:
        model = transformers.Sam2Model(
            transformers.Sam2Config(
                vision_config=vision,
                prompt_encoder_config=prompts,
                mask_decoder_config=_decoder(width),
            )
        )
    _loud(model)
    # An object that is not visible has no mask; random weights see none.
    nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 20.0)
    model.save_pretrained(folder)
    images = transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    transformers.Sam2Processor(images).save_pretrained(folder)
    return folder


def save_sam3(folder: Path) -> Path:
    width = 32
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "pretrain_image_size": SIDE,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [1],
        },
        "fpn_hidden_size": width,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }
    config = transformers.Sam3TrackerConfig(
        vision_config=vision,
        prompt_encoder_config={
            "hidden_size": width,
            "image_size": SIDE,
            "patch_size": 8,
            "mask_input_channels": 8,
        },
        mask_decoder_config=_decoder(width),
    )
    _loud(transformers.Sam3TrackerModel(config)).save_pretrained(folder)
    images = transformers.Sam3ImageProcessor(size={"height": SIDE, "width": SIDE})
    transformers.Sam3TrackerProcessor(images).save_pretrained(folder)
    return folder


BUNDLE_NETWORK: dict[str, Any] = {
    "_target_": "UNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": "@classes",
    "channels": [4, 8],
    "strides": [2],
}


def save_bundle(folder: Path, config: dict[str, Any] | None = None, **changed: Any) -> Path:
    """Save a MONAI bundle of a small U-Net with the classes background, Spleen, Pancreas."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    metadata = {
        "name": "tiny",
        "version": "0.1.0",
        "network_data_format": {
            "inputs": {"image": {"num_channels": 1, "spatial_shape": ["2*n", "2*n"]}},
            "outputs": {
                "pred": {"channel_def": {"0": "background", "1": "Spleen", "2": "Pancreas"}}
            },
        },
    } | changed
    told = {
        "classes": 3,
        "network_def": BUNDLE_NETWORK,
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -100,
                    "a_max": 100,
                    "b_min": 0.0,
                    "b_max": 1.0,
                    "clip": True,
                },
            ],
        },
    } | (config or {})
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps(told))
    torch.manual_seed(1)
    network = nets.UNet(2, 1, 3, [4, 8], [2])
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


VOLUME_STEPS: list[dict[str, Any]] = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": [3.0, 3.0, 4.0], "mode": "bilinear"},
    {
        "_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -100, "a_max": 400,
        "b_min": 0.0, "b_max": 1.0, "clip": True,
    },
]  # fmt: skip


def save_volume_bundle(folder: Path, network: nn.Module, told: dict[str, Any]) -> Path:
    """Save a MONAI bundle for volumes, with the classes background, Spleen and Pancreas.

    Args:
        folder: Where to.
        network: For one channel.
        told: What the configuration says of it.
    """
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    image = {"num_channels": 1, "spatial_shape": [32, 32, 16], "is_patch_data": True}
    classes = {"0": "background", "1": "Spleen", "2": "Pancreas"}
    formats = {"inputs": {"image": image}, "outputs": {"pred": {"channel_def": classes}}}
    metadata = {"name": "tiny-3d", "version": "0.2.0", "network_data_format": formats}
    config = {"network_def": told, "preprocessing": {"transforms": VOLUME_STEPS}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder
