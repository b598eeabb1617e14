-- A database as version 1 wrote it; never change it: old files must open for ever.
PRAGMA application_id = 1195463250;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE chats (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL DEFAULT '',
        title_is_custom INTEGER NOT NULL DEFAULT 0,
        model TEXT NOT NULL DEFAULT '',
        system_prompt TEXT NOT NULL DEFAULT '',
        sampling TEXT NOT NULL DEFAULT '{}',
        draft TEXT NOT NULL DEFAULT '',
        pinned INTEGER NOT NULL DEFAULT 0,
        archived INTEGER NOT NULL DEFAULT 0,
        trashed_at REAL,
        active_leaf INTEGER REFERENCES messages(id) ON DELETE SET NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    ) STRICT;
INSERT INTO "chats" VALUES(1,'6c1f0c9e0f4d4a4c9d5f1a2b3c4d5e6f','Bergs and fjords',1,'smollm2-135m','Be brief.','{"temperature": 0.2}','an unsent thought',1,0,NULL,5,1780000000.0,1780000300.0);
INSERT INTO "chats" VALUES(2,'7d2f0c9e0f4d4a4c9d5f1a2b3c4d5e6f','Old and gone',0,'','','{}','',0,0,1780000400.0,6,1780000100.0,1780000200.0);
CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat_id INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
        parent_id INTEGER REFERENCES messages(id) ON DELETE CASCADE,
        role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
        state TEXT NOT NULL DEFAULT 'complete'
            CHECK (state IN ('complete', 'streaming', 'stopped', 'failed')),
        parts TEXT NOT NULL,
        details TEXT NOT NULL DEFAULT '{}',
        created_at REAL NOT NULL
    ) STRICT;
INSERT INTO "messages" VALUES(1,1,NULL,'user','complete','[{"kind": "attachment", "name": "notes.txt", "media_type": "text/plain", "text": "glacier"}, {"kind": "text", "text": "What is a fjord? Größe?"}]','{}',1780000000.0);
INSERT INTO "messages" VALUES(2,1,1,'assistant','complete','[{"kind": "thinking", "text": "hm", "duration_s": 1.5}, {"kind": "text", "text": "A drowned valley."}]','{"model": "smollm2-135m", "completion_tokens": 4}',1780000001.0);
INSERT INTO "messages" VALUES(3,1,1,'assistant','failed','[{"kind": "text", "text": "An in"}]','{"error": {"code": "engine_died", "sentence": "The engine stopped.", "remedy": "", "facts": {}}}',1780000002.0);
INSERT INTO "messages" VALUES(4,1,2,'user','complete','[{"kind": "text", "text": "And load_weights()?"}]','{}',1780000003.0);
INSERT INTO "messages" VALUES(5,1,4,'assistant','streaming','[{"kind": "text", "text": "It was cut"}]','{}',1780000004.0);
INSERT INTO "messages" VALUES(6,2,NULL,'user','complete','[{"kind": "text", "text": "trashed words"}]','{}',1780000100.0);
CREATE INDEX messages_by_chat ON messages(chat_id, id);
CREATE INDEX messages_by_parent ON messages(parent_id);
CREATE INDEX messages_unfinished ON messages(state) WHERE state = 'streaming';
CREATE INDEX chats_by_leaf ON chats(active_leaf);
CREATE INDEX chats_by_age ON chats(updated_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('chats',2);
INSERT INTO "sqlite_sequence" VALUES('messages',6);
COMMIT;
