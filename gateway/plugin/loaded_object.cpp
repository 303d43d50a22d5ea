#include "plugin/loaded_object.h"

#include <dlfcn.h>

namespace penstock::plugin {

LoadedObject::LoadedObject(const void* address) {
  Dl_info where{};
  if (::dladdr(address, &where) != 0) handle_ = ::dlopen(where.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

LoadedObject::~LoadedObject() {
  if (handle_ != nullptr) ::dlclose(handle_);
}

// Not from the program and what it is linked with: dlsym asks the object and its own libraries alone.
const void* LoadedObject::find(const char* symbol) const {
  return handle_ == nullptr ? nullptr : ::dlsym(handle_, symbol);
}

bool LoadedObject::has(const char* symbol) const {
  ::dlerror();
  return find(symbol) != nullptr || (handle_ != nullptr && ::dlerror() == nullptr);
}

}  // namespace penstock::plugin
