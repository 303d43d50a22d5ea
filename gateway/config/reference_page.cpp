#include "config/reference_page.h"

#include <fmt/format.h>

#include "base/grpc_status.h"
#include "base/reason.h"
#include "config/schema.h"

namespace penstock::config {
namespace {

// Inside a cell of a table.
std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string code(std::string_view text) {
  return text.empty() ? std::string() : fmt::format("`{}`", escaped(text));
}

std::string value_of(const SchemaRow& row) {
  std::string text(row.type == ValueType::same_as ? std::string_view("as") : name(row.type));
  if (!row.allowed.empty()) text += fmt::format(" {}", code(row.allowed));
  if (row.is(none_ok)) text += " or `none`";
  return text;
}

std::string default_of(const SchemaRow& row) {
  return row.is(required) ? std::string("required") : code(row.fallback);
}

}  // namespace

std::string reference_page() {
  std::string out =
      "# Reference\n\n"
      "Every key that this version knows, made from the table by which the configuration is read; a test "
      "holds "
      "this page to it.\nIn a path `[]` is an item of a list and `*` a name of your own. A list of one may "
      "be "
      "written without brackets. `!` stands before what is not supported yet.\n\n"
      "## Keys\n| key | value | default | meaning |\n|---|---|---|---|\n";
  std::string later;
  for (const SchemaRow& row : schema_rows()) {
    if (row.is(not_yet)) {
      later += fmt::format("{}`{}`", later.empty() ? "" : ", ", row.path);
      continue;
    }
    out += fmt::format("| `{}` | {} | {} | {} |\n", row.path, value_of(row), default_of(row),
                       escaped(row.meaning));
  }
  if (!later.empty()) out += fmt::format("\nKnown, and answered with \"not supported yet\": {}.\n", later);
  out +=
      "\n## Reasons\nWhat a refusal says in its body, the access log, the metrics and `explain`. Plugins "
      "bring "
      "codes of their own.\nA call of gRPC is refused with the status of gRPC beside it.\n"
      "| reason | status | gRPC | meaning |\n|---|---|---|---|\n";
  for (const ReasonRow& row : reason_table())
    out += fmt::format("| `{}` | {} | {} | {} |\n", row.code, row.status,
                       penstock::name(grpc_status_of(row.status, row.code)), escaped(row.meaning));
  return out;
}

}  // namespace penstock::config
