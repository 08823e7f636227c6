//! MODULE, where the configuration allows it: what cannot be is answered as by a server that does not find the file.

mod support;

use support::World;
use waterwheel::config::Permission;

#[test]
fn no_module_is_loaded_where_it_would_be_allowed() {
    let mut world = World::new();
    world.engine.conf.enable_module_command = Permission::Yes;
    for line in
        ["MODULE LOAD /none.so", "MODULE LOAD /none.so a b", "MODULE LOADEX /none.so CONFIG a b ARGS c"]
    {
        let error = "(error) ERR Error loading the extension. Please check the server logs.";
        assert_eq!(world.run(line), error, "{line}");
    }
    let error = "(error) ERR Error unloading module: no such module with that name";
    assert_eq!(world.run("MODULE UNLOAD none"), error);
    let error = "(error) ERR Error unloading module: the module exports one or more module-side data types, can't unload";
    assert_eq!(world.run("MODULE UNLOAD vectorset"), error);
    assert!(world.run("INFO modules").contains("module:name=vectorset,ver=1,api=1,"));
}
