// From what a plugin asks to what is sent, checked: whatever a plugin got from a client must not become
// another message. And back, from what came to what the plugin sees.
#pragma once
#include <optional>

#include "base/arena.h"
#include "plugin/handles.h"
#include "upstream/fetch.h"

namespace penstock::plugin {

// Views into `endpoint`, `asked` and `arena`. Nothing: it cannot be sent (GW_EINVAL).
std::optional<upstream::FetchQuestion> question_of(const FetchEndpoint& endpoint,
                                                   const gw_fetch_request& asked, Arena& arena);

// Views into `answer` and `arena`.
gw_fetch_answer answer_of(const upstream::FetchAnswer& answer, Arena& arena);

FetchResult result_of(const upstream::FetchAnswer& answer);
std::string_view name(FetchResult result);

}  // namespace penstock::plugin
