#include "config/diagnostic.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace penstock::config {

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::error: return "error";
    case Severity::warning: return "warning";
    case Severity::note: break;
  }
  return "note";
}

Diagnostic& Diagnostics::error(std::string_view code, Position at, std::string path, std::string message) {
  return add(Severity::error, code, at, std::move(path), std::move(message));
}

Diagnostic& Diagnostics::warning(std::string_view code, Position at, std::string path, std::string message) {
  return add(Severity::warning, code, at, std::move(path), std::move(message));
}

Diagnostic& Diagnostics::note(std::string_view code, Position at, std::string path, std::string message) {
  return add(Severity::note, code, at, std::move(path), std::move(message));
}

Diagnostic& Diagnostics::add(Severity severity, std::string_view code, Position at, std::string path,
                             std::string message) {
  Diagnostic made{severity, std::string(code), at, std::move(path), std::move(message), {}, {}, {}};
  if (at.known() && !seen_.emplace(at.file, at.line, at.column, made.code).second) {
    repeated_ = std::move(made);
    return repeated_;
  }
  return items_.emplace_back(std::move(made));
}

void Diagnostics::append(Diagnostics other) {
  for (Diagnostic& item : other.items_) {
    Diagnostic& added = add(item.severity, item.code, item.at, {}, {});
    added = std::move(item);
  }
}

size_t Diagnostics::count(Severity severity) const {
  return static_cast<size_t>(std::ranges::count(items_, severity, &Diagnostic::severity));
}

size_t Diagnostics::errors() const { return count(Severity::error); }

size_t Diagnostics::warnings() const { return count(Severity::warning); }

void Diagnostics::sort() {
  std::stable_sort(items_.begin(), items_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    const auto key = [](const Diagnostic& d) {
      return std::tuple(!d.at.known(), d.at.file, d.at.line, d.at.column);
    };
    return key(a) < key(b);
  });
}

}  // namespace penstock::config
