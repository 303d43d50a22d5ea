# penstock_add_plugin(NAME SOURCE...): a plugin NAME.so for Penstock, with everything that keeps it loadable and
# unloadable: hidden visibility, one exported symbol (a version script), no symbols shared between two versions of the
# same plugin (-fno-gnu-unique, GCC only), no undefined symbols. From outside the tree:
#   find_package(penstock REQUIRED)         where Penstock is installed, or
#   include(/path/to/plugins/sdk/penstock_add_plugin.cmake)
#   penstock_add_plugin(my_plugin my_plugin.cpp)
# PENSTOCK_PLUGIN_OUTPUT is the folder of the result; ${CMAKE_BINARY_DIR}/plugins unless set.
set(PENSTOCK_SDK_DIR ${CMAKE_CURRENT_LIST_DIR} CACHE INTERNAL "The folder of penstock_plugin.map")
if(penstock_INCLUDE_DIR AND NOT EXISTS ${CMAKE_CURRENT_LIST_DIR}/penstock_plugin.h)  # installed: penstockConfig.cmake knows
  set(PENSTOCK_SDK_HEADERS ${penstock_INCLUDE_DIR} CACHE INTERNAL "The folder of penstock_plugin.h")
else()
  set(PENSTOCK_SDK_HEADERS ${CMAKE_CURRENT_LIST_DIR} CACHE INTERNAL "The folder of penstock_plugin.h")
endif()

function(penstock_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  set(output ${CMAKE_BINARY_DIR}/plugins)
  if(PENSTOCK_PLUGIN_OUTPUT)
    set(output ${PENSTOCK_PLUGIN_OUTPUT})
  endif()
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" LIBRARY_OUTPUT_DIRECTORY ${output}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON
    LINK_DEPENDS ${PENSTOCK_SDK_DIR}/penstock_plugin.map)
  target_include_directories(${name} PRIVATE ${PENSTOCK_SDK_HEADERS})
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  foreach(feature C:c_std_11 CXX:cxx_std_17)
    string(REPLACE ":" ";" feature ${feature})
    list(POP_FRONT feature language)
    if(language IN_LIST languages)
      target_compile_features(${name} PRIVATE ${feature})
    endif()
  endforeach()
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  target_link_options(${name} PRIVATE -Wl,--version-script=${PENSTOCK_SDK_DIR}/penstock_plugin.map
    -Wl,-z,relro,-z,now)
  # In the tree of Penstock: its warnings and sanitizers, not its include paths.
  if(TARGET penstock_options)
    foreach(property COMPILE_DEFINITIONS LINK_OPTIONS)
      set_property(TARGET ${name} APPEND PROPERTY ${property}
        $<TARGET_PROPERTY:penstock_options,INTERFACE_${property}>)
    endforeach()
    target_compile_options(${name} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:$<TARGET_PROPERTY:penstock_options,INTERFACE_COMPILE_OPTIONS>>")
  endif()
  # A sanitizer's runtime lives in the daemon, so only an ordinary build can insist on complete symbols.
  if(NOT PENSTOCK_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
endfunction()
