package Test::Gray::Journal;

# Copyright (C) the nginx gray module authors
#
# A release "app" with a journal, and what can be seen of both.
#
#     my $t = Test::Gray->new->config(journal_config(workers => 2))->start;
#
#     change($t, 30);                   # PATCH: the weight of "on"
#     my $answer = change_by($connection, 40)->receive;
#
#     my $before = seen($t);            # the same, if nothing was changed
#     ask($connection);                 # what one worker decides
#
# The journal's path, its text, and that text without what is not whole or not
# good:
#
#     journal($t); lines($t); mended($text);
#
# Its end is torn, or its first line damaged, as if a disk had done it:
#
#     tear($t); damage($t);

use strict;
use warnings;

use Exporter ();
use JSON::PP ();

use Test::Gray;
use Test::Gray::HTTP;
use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(ask change change_by content damage errors fill gaps journal
                 journal_config lines mended no_calls revision seen steps tear
                 weight writes);

my $json = JSON::PP->new->utf8->canonical;

my %says = (
    EACCES => 'Permission denied',
    EIO    => 'Input/output error',
    EMFILE => 'Too many open files',
    ENOSPC => 'No space left on device',
    EROFS  => 'Read-only file system',
);

my @uids = map { "user-$_" } 1 .. 12;


# errors, and what people are told of them

sub errors { return %says }


sub journal_config {
    my (%option) = @_;

    my $workers = $option{workers} || 2;
    my $history = $option{history} || 4;
    my $state = $option{state} || 'state';
    my $main = $option{main} || '';

    return <<"END";
worker_processes $workers;
$main

http {
    gray_zone gray 1m state=$state history=$history;
    keepalive_requests 1000000;

    gray_release app {
        zone    gray;
        hash    \$arg_uid;
        variant off;
        variant on weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location = /on  { return 200 "\$gray_app \$gray_app_revision"; }
        location = /pid { return 200 \$pid; }
        location /gray/ { gray_admin; }
    }
}
END
}


# -- changes

sub body { return $json->encode({ variants => { on => { weight => $_[0] } } }) }


sub change {
    my ($t, $weight) = @_;

    return $t->api('PATCH', '/gray/releases/app', body($weight));
}


# asked for on a connection, on which the answer is to be received

sub change_by {
    my ($connection, $weight) = @_;

    return $connection->send(Test::Gray::HTTP::request_text(
        'PATCH', '/gray/releases/app', [ 'Content-Type' => 'application/json' ],
        body($weight)));
}


sub content { return eval { $json->decode($_[0]{body}) } || {} }


# of an answer or of seen()

sub revision { return content($_[0])->{revision} }


sub weight { return content($_[0])->{variants}{on}{weight} }


# -- what can be seen

sub ask {
    my ($connection) = @_;

    return join ', ', map {
        my $answer = $connection->get("/on?uid=$_");
        $answer->{status} == 200 ? $answer->{body} : "is $answer->{status}";
    } @uids;
}


sub seen {
    my ($t) = @_;

    my $release = $t->get('/gray/releases/app');
    my $workers = $t->each_worker('/pid');

    return {
        status    => $release->{status},
        etag      => $release->{headers}{etag},
        body      => $release->{body},
        decisions => [ map { ask($_) } values %$workers ],
    };
}


# -- the file

sub journal { return $_[0]->dir . '/state/app.jsonl' }
sub lines { return slurp(journal($_[0])) }


# the checksum is not looked at, but for that of a damaged line

sub mended {
    my ($text) = @_;

    return join '', grep { /^\{"checksum":"[0-9a-f]{16}",.*\}\n\z/ }
                    split /^/, $text;
}


# what is wrong after a write: lines, the order of revisions, or the last one

sub gaps {
    my ($t, $revision) = @_;

    my $text = lines($t);

    return 'not all lines are good' if $text ne mended($text);

    my @revisions = map { $json->decode($_)->{revision} } split /^/, $text;
    my @gaps = grep { $revisions[$_] != $revisions[$_ - 1] + 1 }
               1 .. $#revisions;

    return "revisions @revisions" if @gaps || !@revisions;
    return "the last revision is $revisions[-1], not $revision"
        if defined $revision && $revisions[-1] != $revision;
    return '';
}


# longer than the line that takes its place

sub tear {
    my ($t) = @_;

    open my $fh, '>>', journal($t) or die journal($t) . ": $!\n";
    print $fh '{"checksum":"0123456789abcdef","layout":1,"comment":"',
              'x' x 4000;
    close $fh or die journal($t) . ": $!\n";

    return;
}


# a file that has another inode, so that it is read again

sub damage {
    my ($t) = @_;

    my $file = journal($t);
    my ($uid, $gid) = (stat $file)[4, 5];
    my $text = lines($t);

    $text =~ s/^\{"checksum":"[0-9a-f]{16}"/{"checksum":"-- damaged --   "/
        or die "nothing to be damaged\n";

    open my $fh, '>', "$file.new" or die "$file.new: $!\n";
    print $fh $text;
    close $fh or die "$file.new: $!\n";
    chmod 0600, "$file.new";
    chown $uid, $gid, "$file.new";
    rename "$file.new", $file or die "$file: $!\n";

    return;
}


# so many lines that the next one makes the file too long

sub fill {
    my ($t, $history) = @_;

    for my $try (1 .. 10 * ($history || 4)) {
        return if (() = lines($t) =~ /\n/g) == 2 * ($history || 4);
        change($t, 80 + $try % 2)->{status} == 200 or die "no change\n";
    }

    die "the journal does not become too long\n";
}


# -- the points of a write, see Test::Gray::Fault

my %step = (
    journal_open      => 'opening the journal',
    journal_create    => 'making the journal',
    journal_read      => 'reading the journal',
    journal_cut       => 'cutting off the torn line',
    journal_temp      => 'making the new file',
    journal_temp_sync => 'syncing the new file',
    journal_aside     => 'keeping the damaged file',
    journal_rename    => 'renaming the new file',
    journal_write     => 'writing',
    journal_sync      => 'syncing the journal',
    journal_found     => 'syncing what is there',
    journal_open_dir  => 'opening the directory',
    journal_sync_dir  => 'syncing the directory',
    commit_locked     => 'anything, with the lock,',
    journal_appended  => 'going on behind the line',
    commit_publish    => 'it comes into force',
    commit_published  => 'unlocking and the answer',
);

sub steps { return %step }


# where a process can be killed or stopped, but there is no call to fail

sub no_calls {
    return qw(commit_locked journal_appended commit_publish commit_published);
}


# Each kind of write: what it is, what is to be done to the journal before, the
# points that it passes, in order, each once; where what is behind is no part of
# it, the first point at which the change is durable; and that point where it is
# another one than the sync, as what was in force is written, and synced, first.

sub writes {
    my ($t) = @_;

    my @begin = qw(commit_locked journal_open);
    my @append = qw(journal_write journal_sync);
    my @anew = qw(journal_temp journal_write journal_temp_sync);
    my @dir = qw(journal_open_dir journal_sync_dir);
    my @end = qw(journal_appended commit_publish commit_published);

    return (
        [ 'a change', sub { }, [ @begin, @append, @end ] ],

        [ 'a change that makes the journal', sub { unlink journal($t) },
          [ @begin, 'journal_create', @append, @dir, @end ], undef,
          'commit_publish' ],

        [ 'a change that cuts off a torn line', sub { tear($t) },
          [ @begin, 'journal_read', 'journal_cut', 'journal_write',
            'journal_found', @dir, 'journal_sync', @end ] ],

        [ 'a change that sets a damaged journal aside', sub { damage($t) },
          [ @begin, 'journal_read', @anew, 'journal_aside', 'journal_rename',
            @dir, 'journal_found', 'journal_sync', @end ] ],

        [ 'a change that makes a long journal short', sub { fill($t) },
          [ @begin, @append, 'journal_appended', 'journal_read',
            'journal_temp', 'journal_temp_sync', 'journal_rename', @dir,
            'commit_publish', 'commit_published' ], 'journal_appended' ],
    );
}


1;
