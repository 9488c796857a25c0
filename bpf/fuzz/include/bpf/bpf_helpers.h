/* SPDX-License-Identifier: Apache-2.0 */
/* Found before libbpf's: the programs' helpers are functions of the fuzzer's own. */
#pragma once
#include "../../kernel.h"
