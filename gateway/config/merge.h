// `defaults` under one object: maps merge key by key at every depth, lists and scalars replace, a one-of
// (balance, target) replaces whole. Pure; both trees are in long form already.
#pragma once
#include "config/node.h"

namespace penstock::config {

Node merge_defaults(const Node& defaults, const Node& own);

}  // namespace penstock::config
