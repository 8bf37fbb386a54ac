// SPDX-License-Identifier: GPL-3.0-or-later
// A job type for Flamenco 3: put it into the folder "scripts" beside flamenco-manager.
// Each task makes the rows of one shard in Blender; a last one makes one manifest of theirs.

const JOB_TYPE = {
    label: "Text to motion, batch",
    settings: [
        { key: "batch", type: "string", required: true, subtype: "file_path",
          description: "Prompts: .jsonl, .csv or .txt, where all workers can read it" },
        { key: "output", type: "string", required: true, subtype: "dir_path",
          description: "Folder for the files; its parent exists" },
        { key: "format", type: "string", default: "blend",
          description: "npz,blend,fbx,glb,bvh,usdc: one or more" },
        { key: "shards", type: "int32", default: 4, description: "Tasks that share the rows" },
        { key: "options", type: "string", default: "",
          description: "Further options, separated by spaces, such as --loop --in-place" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    const line = (more) => ["--command", "t2m", "--batch", settings.batch, "-o", settings.output,
        "--format", settings.format].concat(settings.options.split(" ").filter(Boolean), more);
    const last = author.Task("one manifest", "misc");
    last.addCommand(run(line([])));
    const folder = author.Task("folder", "file-management");
    folder.addCommand(author.Command("exec", { exe: "mkdir", args: ["-p", settings.output] }));
    job.addTask(folder);
    for (let shard = 1; shard <= settings.shards; shard++) {
        const task = author.Task("shard-" + shard, "blender");
        task.addCommand(run(line(["--shard", shard + "/" + settings.shards])));
        task.addDependency(folder);
        last.addDependency(task);
        job.addTask(task);
    }
    job.addTask(last);
}

// Status 3 means: some rows are bad, and named in the manifest. The task itself is done.
function run(args) {
    const blender = '{blender} -b "$@" || [ $? -eq 3 ]';
    return author.Command("exec", { exe: "sh", args: ["-c", blender, "sh"].concat(args) });
}
