/* Private to src/device: where a head's keys and values are. */
#pragma once
#include "device/device_int.h"

int kv_heads(const struct kv_shape *s, int layer);
/* K (side 0) or V (side 1) of a layer and KV head. */
void *kv_at(const struct kv_shape *s, void *page, int layer, int side, int head);
