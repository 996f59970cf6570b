# sluice: one C17 program. `make help` lists the targets; `make run` and `make test` are the two commands.
# BUILD=dir puts everything elsewhere; VARIANT=asan|tsan|fuzz builds with that sanitizer into BUILD/VARIANT.
SHELL   := /bin/bash
VARIANT ?= release
BUILD   ?= build
OUT     := $(BUILD)$(if $(filter release,$(VARIANT)),,/$(VARIANT))
PREFIX  ?= /usr/local
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

include make/packages.mk
include make/flags.mk
include make/sources.mk
include make/web.mk
include make/ledger.mk
include make/tests.mk
include make/targets.mk
